/** What the section of accounts does. */

import { ask } from "../api.js";
import { announce, focusOn } from "../ui.js";
import { t } from "../words.js";
import { freshKey } from "./keys.js";
import { afterFound, asking, created, opened, query, withAccount, withPerson, wrongFields } from "./people_model.js";
import { PEOPLE_REFUSALS, PERSON_REFUSALS, refusalOf, refusalText } from "./refusals.js";

const TYPING_PAUSE_MS = 250;
const SLOW_MS = 15_000; // a new password is hashed, and a flood of logins is served in turn
const LOGINS = 20;
let typing = 0;

/** @typedef {import("./part.js").Part} Part */

export const actions = {
  search,
  find,
  findMore: (part) => search(part, true),
  openPerson,
  readPerson: (part) => readPerson(part, part.state.person.studentId),
  creating,
  personDraft: (part, typed) => part.set({ draft: { ...part.state.draft, ...typed } }),
  createPerson,
  person: (part, action) => CHANGES[action](part, part.state.person.studentId),
  personName: (part, name) => part.update(withPerson, part.state.person.studentId, { name }),
  personRole: (part, role) => part.update(withPerson, part.state.person.studentId, { role }),
  saveName: (part) => patch(part, part.state.person.studentId, "name", { full_name: part.state.person.name.trim() || null }),
  moreLogins,
  copy,
  putAway,
};

const CHANGES = {
  reset,
  end: endSessions,
  disable: (part, id) => patch(part, id, "disable", { disabled: true }),
  enable: (part, id) => patch(part, id, "enable", { disabled: false }),
  role: (part, id) => patch(part, id, "role", { role: part.state.person.role }),
};

const address = (id, rest = "") => `/v1/students/${encodeURIComponent(id)}${rest}`;

async function search(part, isMore = false) {
  const { asked, cursor } = part.state.found;
  const answer = await ask(`/v1/students?${query(asked, isMore ? cursor : null)}`);
  part.update(afterFound, asked, answer, isMore);
}

/** A search while somebody types waits for a pause. */
function find(part, asked) {
  part.update(asking, asked);
  clearTimeout(typing);
  typing = setTimeout(() => search(part), TYPING_PAUSE_MS);
}

function openPerson(part, id) {
  part.update(opened, id);
  return readPerson(part, id);
}

/** All that is known of one person. Identity has no route for one account, so it is searched by its id. */
async function readPerson(part, id) {
  const found = await ask(`/v1/students?${query({ search: id, role: "", disabled: "" })}`);
  const account = found.data?.items.find((one) => one.student_id === id);
  if (!account) return part.update(withPerson, id, { status: found.status === 200 ? "missing" : "failed" });
  part.update(withAccount, account);
  const [sessions, logins] = await Promise.all([ask(address(id, "/sessions")), ask(address(id, `/logins?limit=${LOGINS}`))]);
  takeSessions(part, id, sessions);
  return takeLogins(part, id, logins);
}

function takeSessions(part, id, { status, data }) {
  if (status === 200) part.update(withPerson, id, { sessions: data.items });
}

function takeLogins(part, id, { status, data }, earlier = []) {
  if (status === 200) part.update(withPerson, id, { logins: [...earlier, ...data.items], loginsCursor: data.next_cursor });
}

async function moreLogins(part) {
  const { studentId, logins, loginsCursor } = part.state.person;
  const answer = await ask(address(studentId, `/logins?limit=${LOGINS}&cursor=${encodeURIComponent(loginsCursor)}`));
  takeLogins(part, studentId, answer, logins);
}

/** Sends one change of a person. @returns {Promise<import("../api.js").Answer|null>} null if it was refused: that is shown and said */
async function send(part, id, action, path, options) {
  part.update(withPerson, id, { busy: action, done: null, refusal: null });
  const answer = await ask(path, { timeoutMs: SLOW_MS, ...options });
  part.update(withPerson, id, { busy: null });
  if (answer.status >= 200 && answer.status < 300) return answer;
  const refusal = refusalOf(answer);
  part.update(withPerson, id, { refusal });
  announce(refusalText(refusal, PERSON_REFUSALS), { urgent: true });
  return null;
}

async function patch(part, id, action, body) {
  const answer = await send(part, id, action, address(id), { method: "PATCH", body });
  if (!answer) return;
  part.update(withAccount, answer.data);
  part.update(withPerson, id, { role: null });
  await done(part, id, action);
}

async function endSessions(part, id) {
  if (await send(part, id, "end", address(id, "/sessions"), { method: "DELETE" })) await done(part, id, "end");
}

async function done(part, id, action) {
  part.update(withPerson, id, { done: action });
  announce(t("ops.person.done.spoken"));
  focusOn("#title");
  takeSessions(part, id, await ask(address(id, "/sessions")));
}

async function reset(part, id, action = "reset") {
  const answer = await send(part, id, "reset", address(id, "/reset-password"), { method: "POST" });
  if (!answer) return;
  const { one_time_password: password, expires_at: expiresAt } = answer.data;
  part.update(withPerson, id, { oneTime: { password, expiresAt, isCopied: false }, done: action, sessions: [] });
  focusOn("#one-time");
}

async function copy(part) {
  const { studentId, oneTime } = part.state.person;
  await navigator.clipboard.writeText(oneTime.password);
  part.update(withPerson, studentId, { oneTime: { ...oneTime, isCopied: true } });
  announce(t("ops.one-time.copied"));
}

function putAway(part) {
  part.update(withPerson, part.state.person.studentId, { oneTime: null });
  focusOn("#title");
}

function creating(part, isCreating) {
  part.set({ isCreating, wrong: [], refusal: null });
  focusOn(isCreating ? "#new-id" : "#open-person");
}

/** The first password is random and nobody's: a one-time password for the owner replaces it at once. */
async function createPerson(part) {
  const { studentId, name, role } = part.state.draft;
  const wrong = wrongFields(part.state.draft);
  part.set({ wrong, refusal: null });
  if (wrong.length) return focusOn('main [aria-invalid="true"]');
  part.set({ isBusy: true });
  const body = { student_id: studentId, password: freshKey(), role, full_name: name.trim() || null };
  const answer = await ask("/v1/students", { method: "POST", body, timeoutMs: SLOW_MS });
  return answer.status === 201 ? welcome(part, studentId) : refuseCreation(part, answer);
}

function welcome(part, id) {
  part.update(created);
  history.pushState(null, "", `#people/${id}`);
  part.update(opened, id);
  return Promise.all([readPerson(part, id), reset(part, id, "create")]);
}

function refuseCreation(part, answer) {
  const refusal = refusalOf(answer);
  part.set({ isBusy: false, refusal });
  announce(refusalText(refusal, PEOPLE_REFUSALS), { urgent: true });
}
