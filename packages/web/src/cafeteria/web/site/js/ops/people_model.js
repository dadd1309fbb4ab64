/** Accounts as the operator finds and changes them. Pure. A one-time password is kept in this state alone, until it is put away. */

/**
 * @typedef {{student_id: string, role: string, full_name: string|null, disabled: boolean, created_at: string}} Account
 * @typedef {import("./refusals.js").Refusal} Refusal
 * @typedef {{studentId: string, status: "loading"|"shown"|"missing"|"failed", account: Account|null, sessions: object[]|null,
 *   logins: object[]|null, loginsCursor: string|null, oneTime: {password: string, expiresAt: string, isCopied: boolean}|null,
 *   busy: string|null, done: string|null, refusal: Refusal|null, name: string, role: string|null}} Person `busy`, `done`: the name of an action; `name`, `role`: as typed and chosen
 * @typedef {{status: "loading"|"shown"|"failed", items: Account[], cursor: string|null, asked: {search: string, role: string, disabled: string}}} Found
 * @typedef {{found: Found, isCreating: boolean, draft: {studentId: string, name: string, role: string}, wrong: string[],
 *   refusal: Refusal|null, isBusy: boolean, person: Person|null}} People
 */

const STUDENT_ID = /^[A-Za-z0-9-]{1,32}$/;
const EMPTY_DRAFT = { studentId: "", name: "", role: "student" };
const NOBODY = {
  status: "loading",
  account: null,
  sessions: null,
  logins: null,
  loginsCursor: null,
  oneTime: null,
  busy: null,
  done: null,
  refusal: null,
  name: "",
  role: null,
};

/** @returns {People} */
export const emptyPeople = () => ({
  found: { status: "loading", items: [], cursor: null, asked: { search: "", role: "", disabled: "" } },
  isCreating: false,
  draft: EMPTY_DRAFT,
  wrong: [],
  refusal: null,
  isBusy: false,
  person: null,
});

/** The query of a search, without the parameters that are not set. */
export function query({ search, role, disabled }, cursor = null) {
  const given = { search: search.trim(), role, disabled, cursor: cursor ?? "" };
  return new URLSearchParams(Object.entries(given).filter(([, value]) => value !== "")).toString();
}

export const asking = (people, change) => ({
  ...people,
  found: { ...people.found, asked: { ...people.found.asked, ...change } },
});

/** A page of accounts for `asked`. The answer to an earlier search is dropped, so that the list fits the field. */
export function afterFound(people, asked, answer, isMore) {
  const { found } = people;
  if (found.asked !== asked) return people;
  if (answer.status !== 200) return { ...people, found: { ...found, status: "failed" } };
  const { items, next_cursor: cursor } = answer.data;
  return { ...people, found: { ...found, status: "shown", items: isMore ? [...found.items, ...items] : items, cursor } };
}

/** @returns {People} with the person whose page opens; the earlier person's one-time password goes */
export const opened = (people, studentId) => ({ ...people, person: { ...NOBODY, studentId } });
export const closed = (people) => ({ ...people, person: null });

/** Changes the person who is shown, if it is still this one: answers for another person come too late. */
export function withPerson(people, studentId, change) {
  return people.person?.studentId === studentId ? { ...people, person: { ...people.person, ...change } } : people;
}

/** The account as an answer brought it, in the list too. */
export function withAccount(people, account) {
  const items = people.found.items.map((other) => (other.student_id === account.student_id ? account : other));
  const change = { status: "shown", account, name: account.full_name ?? "" };
  return withPerson({ ...people, found: { ...people.found, items } }, account.student_id, change);
}

export const created = (people) => ({ ...people, isCreating: false, draft: EMPTY_DRAFT, wrong: [], refusal: null, isBusy: false });

/** @returns {("studentId"|"name")[]} fields that identity would refuse */
export function wrongFields({ studentId, name }) {
  const wrong = STUDENT_ID.test(studentId) ? [] : ["studentId"];
  return [...name.trim()].length > 120 ? [...wrong, "name"] : wrong;
}
