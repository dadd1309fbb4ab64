/**
 * Who is signed in in this browser. The tokens are HttpOnly cookies: no script sees one. All tabs have the same cookies, so
 * they renew in turn, and a tab whose person was replaced in another tab stops acting for either.
 */
import { ask, renewBy } from "./api.js";
import { now } from "./clock.js";
import { del, forget, get, put } from "./store.js";

const LOGIN_TIMEOUT_MS = 15_000; // a flood of logins is served in turn
const OTHER_TAB_WON_MS = 500; // how soon the cookies of a renewal by another tab are here
const RETRY_MS = 10_000; // identity is away: ask again about then
const LOCK_WAIT_MS = 12_000; // two time-outs of a request
const FRESH_MS = 1_000; // a renewal this young counts for a request that was sent before it
const WITHOUT_TOKENS = { cookie: true, tokens: false };
const LAST_WHO = "who";
const RENEWED_AT = "renewed_at";

let who = null;
let renewing = null;
let timer = 0;
let dueAtMs = 0;
let isNeeded = () => false;
const listeners = new Set();
const channel = globalThis.BroadcastChannel ? new BroadcastChannel("session") : null;

export const session = {
  get who() {
    return who;
  },
  start,
  signIn,
  signOut,
  renew,
  /** Call `fn(SessionChange)` after every change. */
  subscribe(fn) {
    listeners.add(fn);
    return () => listeners.delete(fn);
  },
  /** While `fn()` is true a hidden tab renews, too: an order is under way. */
  keepWhile(fn) {
    isNeeded = fn;
  },
};

renewBy(renew);
channel?.addEventListener("message", ({ data }) => onTabMessage(data));
globalThis.document?.addEventListener("visibilitychange", () => isVisible() && isDue() && renew());

/** Find out who is signed in. While identity is away the last person counts: the other services accept the cookies. */
async function start() {
  const last = await kept(LAST_WHO);
  const answer = await ask("/v1/me", { renew: last !== null });
  if (answer.status === 200) {
    await adopt(answer.data, "started");
    tellTabs("renewed"); // a tab of another person learns that the cookies are no longer theirs
  } else if (answer.status !== 401) assume(last);
  return who;
}

async function signIn({ studentId, password, newPassword }) {
  const body = { student_id: studentId, password, new_password: newPassword, ...WITHOUT_TOKENS };
  const answer = await ask("/v1/login", { method: "POST", body, timeoutMs: LOGIN_TIMEOUT_MS, renew: false });
  if (answer.status === 200) {
    await adopt(answer.data, "signed-in");
    tellTabs("signed-in");
  }
  return answer;
}

/** Sign out in all tabs and forget what is the person's. Only the server takes cookies away: without its 204 nothing changes. */
async function signOut() {
  const answer = await ask("/v1/logout", { method: "POST", renew: false });
  if (answer.status === 204) {
    await Promise.all([who && forget(who.student_id), del(LAST_WHO)]);
    end("signed-out");
    tellTabs("signed-out");
  }
  return answer;
}

/** Give whether the cookies are new, also if another tab renewed them. */
function renew() {
  renewing ??= inTurn(renewOnce).finally(() => (renewing = null));
  return renewing;
}

async function renewOnce(wantedAt) {
  if ((await kept(RENEWED_AT)) > wantedAt - FRESH_MS) return true;
  const answer = await ask("/v1/token/refresh", { method: "POST", body: WITHOUT_TOKENS, renew: false });
  if (answer.status === 200) return renewed(answer.data);
  if (answer.status === 401) return renewedElsewhere();
  plan(RETRY_MS * (0.5 + Math.random()));
  return false;
}

/** Who lost a race has a 401 before the winner's cookies are here: ask once more, and only then believe it. */
async function renewedElsewhere() {
  await new Promise((resolve) => setTimeout(resolve, OTHER_TAB_WON_MS));
  const answer = await ask("/v1/me", { renew: false });
  if (answer.status === 200) return renewed(answer.data);
  if (answer.status === 401) {
    await del(LAST_WHO).catch(() => {});
    if (who) end("expired");
    tellTabs("expired");
  } else plan(RETRY_MS);
  return false;
}

/** False when the cookies are another person's: this tab's requests must not be sent as theirs. */
async function renewed(person) {
  await put(RENEWED_AT, Date.now()).catch(() => {});
  await adopt(person, "started");
  if (who) tellTabs("renewed");
  return who !== null;
}

/** Another person than this tab's is never taken over: the tab's basket is not theirs. */
async function adopt(person, reason) {
  if (who && who.student_id !== person.student_id && reason !== "signed-in") return end("other-person", person.student_id);
  const isNew = !who || reason === "signed-in";
  who = person;
  planRenewal(person.expires_in);
  await put(LAST_WHO, { student_id: person.student_id, role: person.role, full_name: person.full_name }).catch(() => {});
  if (isNew) tell(reason);
}

function assume(last) {
  who = last;
  plan(RETRY_MS * (0.5 + Math.random()));
  tell("started");
}

async function kept(key) {
  return (await get(key).catch(() => null)) ?? null;
}

function end(reason, other = null) {
  clearTimeout(timer);
  dueAtMs = 0;
  who = null;
  tell(reason, other);
}

function tell(reason, other = null) {
  for (const listener of listeners) listener({ who, reason, other });
}

/** Between 65 and 85 % of its life: a thousand who signed in together do not renew together. */
function planRenewal(expiresInS) {
  if (expiresInS) plan(expiresInS * 1000 * (0.65 + 0.2 * Math.random()));
}

function plan(waitMs) {
  clearTimeout(timer);
  dueAtMs = now() + waitMs;
  timer = setTimeout(() => (isVisible() || isNeeded()) && renew(), waitMs);
}

function isDue() {
  return dueAtMs > 0 && now() >= dueAtMs;
}

function isVisible() {
  return globalThis.document?.visibilityState !== "hidden";
}

/** Run it under the lock of all tabs; without, where there are no locks or the holder hangs. */
async function inTurn(fn) {
  const wantedAt = Date.now();
  const run = () => fn(wantedAt);
  const locks = globalThis.navigator?.locks;
  return locks ? locks.request("refresh", { signal: AbortSignal.timeout(LOCK_WAIT_MS) }, run).catch(run) : run();
}

function tellTabs(what) {
  channel?.postMessage({ what, who });
}

function onTabMessage({ what, who: person }) {
  if (what === "signed-in" || what === "renewed") onTabPerson(person, what);
  else if (who) end(what);
}

function onTabPerson(person, what) {
  if (who?.student_id === person.student_id && what === "renewed") {
    who = person;
    planRenewal(person.expires_in);
  } else if (who && who.student_id !== person.student_id) end("other-person", person.student_id);
  else adopt(person, "signed-in");
}
