/**
 * Who is signed in in this browser. The tokens are HttpOnly cookies: no script sees one, and none is kept here.
 *
 * All tabs have the same cookies. They renew one after another (Web Lock `refresh`), tell each other what changed
 * (channel `session`), and a tab whose person was replaced by another one in another tab stops acting for either.
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

/**
 * @typedef {{student_id: string, role: "student"|"kitchen"|"operator", full_name: string|null, expires_in?: number}} Who
 * @typedef {"started"|"signed-in"|"signed-out"|"expired"|"other-person"} Reason
 *   expired: the session ended by itself or from elsewhere; other-person: `other` has signed in in another tab
 * @typedef {{who: Who|null, reason: Reason, other: string|null}} Change
 */

let who = null;
let renewing = null;
let timer = 0;
let dueAtMs = 0;
let isNeeded = () => false;
const listeners = new Set();
const channel = globalThis.BroadcastChannel ? new BroadcastChannel("session") : null;

export const session = {
  /** @returns {Who|null} */
  get who() {
    return who;
  },
  start,
  signIn,
  signOut,
  renew,
  /** Call `fn(change)` after every change of who is signed in. @param {(change: Change) => void} fn @returns {() => void} */
  subscribe(fn) {
    listeners.add(fn);
    return () => listeners.delete(fn);
  },
  /** While `fn()` is true the session is renewed in a hidden tab, too: an order is under way. @param {() => boolean} fn */
  keepWhile(fn) {
    isNeeded = fn;
  },
};

renewBy(renew);
channel?.addEventListener("message", ({ data }) => onTabMessage(data));
globalThis.document?.addEventListener("visibilitychange", () => isVisible() && isDue() && renew());

/**
 * Find out who is signed in. A browser in which nobody was asks once; one in which somebody was renews what has expired.
 * While identity does not answer, the person of the last time counts: the cookies may be good, and the other services
 * accept them.
 * @returns {Promise<Who|null>}
 */
async function start() {
  const last = await lastWho();
  const answer = await ask("/v1/me", { renew: last !== null });
  if (answer.status === 200) await adopt(answer.data, "started");
  else if (answer.status !== 401) assume(last);
  return who;
}

/** @returns {Promise<import("./api.js").Answer>} 200 and the person is signed in; all else changed nothing */
async function signIn({ studentId, password, newPassword }) {
  const body = { student_id: studentId, password, new_password: newPassword, ...WITHOUT_TOKENS };
  const answer = await ask("/v1/login", { method: "POST", body, timeoutMs: LOGIN_TIMEOUT_MS, renew: false });
  if (answer.status === 200) {
    await adopt(answer.data, "signed-in");
    tellTabs("signed-in");
  }
  return answer;
}

/**
 * Sign out here and in all tabs, and forget what belongs to this person. Only the server can take the cookies away: without
 * its 204 everything stays as it is.
 * @returns {Promise<import("./api.js").Answer>}
 */
async function signOut() {
  const answer = await ask("/v1/logout", { method: "POST", renew: false });
  if (answer.status === 204) {
    await Promise.all([who && forget(who.student_id), del(LAST_WHO)]);
    end("signed-out");
    tellTabs("signed-out");
  }
  return answer;
}

/** Renew the session, in one tab at a time. @returns {Promise<boolean>} whether the cookies are new, also if another tab did it */
function renew() {
  renewing ??= inTurn(renewOnce).finally(() => (renewing = null));
  return renewing;
}

async function renewOnce(wantedAt) {
  if ((await renewedAt()) > wantedAt - FRESH_MS) return true;
  const body = WITHOUT_TOKENS;
  const answer = await ask("/v1/token/refresh", { method: "POST", body, renew: false });
  if (answer.status === 200) return renewed(answer.data);
  if (answer.status === 401) return renewedElsewhere();
  plan(RETRY_MS * (0.5 + Math.random()));
  return false;
}

/** A tab that lost a race has its 401 before the winner's cookies are here: ask once more, and only then believe it. */
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

/** False when the cookies are another person's now: this tab's requests must not be sent again as theirs. */
async function renewed(person) {
  await put(RENEWED_AT, Date.now()).catch(() => {});
  await adopt(person, "started");
  if (who) tellTabs("renewed");
  return who !== null;
}

async function renewedAt() {
  return (await get(RENEWED_AT).catch(() => 0)) ?? 0;
}

/** Take over what the server says. Another person than this tab's is never taken over: the tab's basket is not theirs. */
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

async function lastWho() {
  return (await get(LAST_WHO).catch(() => null)) ?? null;
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

/** Between 65 and 85 % of the token's life: a thousand people who signed in together do not renew together. */
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

/** Run `fn(wantedAt)` under the lock of all tabs; without it where there are no locks, or where its holder hangs. */
async function inTurn(fn) {
  const wantedAt = Date.now();
  const run = () => fn(wantedAt);
  const locks = globalThis.navigator?.locks;
  return locks ? locks.request("refresh", { signal: AbortSignal.timeout(LOCK_WAIT_MS) }, run).catch(run) : run();
}

function tellTabs(what) {
  channel?.postMessage({ what, who });
}

/** What another tab did holds here, too: the cookies are the same. */
function onTabMessage({ what, who: person }) {
  if (what === "renewed" && who?.student_id === person.student_id) planRenewal(person.expires_in);
  else if (what === "signed-in" || what === "renewed") onTabPerson(person);
  else if (who) end(what);
}

function onTabPerson(person) {
  if (who && who.student_id !== person.student_id) end("other-person", person.student_id);
  else adopt(person, "signed-in");
}
