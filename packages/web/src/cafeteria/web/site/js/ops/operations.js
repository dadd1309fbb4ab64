/**
 * What the operator asked for and what may happen once only: portions that are added, dishes that are created.
 *
 * Each operation has one Idempotency-Key for all its tries, so after a lost answer it is asked again and cannot happen
 * twice. Stock keeps keys for 24 hours; an operation from before is not sent again, but named. Pure.
 */

import { refusalOf } from "./refusals.js";

const KEY_LIFE_MS = 23 * 3_600_000; // an hour less than stock keeps a key
const LONGEST_PAUSE_S = 15;
const UNKNOWN_OUTCOME = new Set([0, 401, 408, 429, 500, 502, 503, 504]);

/**
 * @typedef {{key: string, batch: string, what: "restock"|"create", itemId: string|null, name: string, quantity: number,
 *   path: string, body: object, madeAt: number, tries: number, state: "sending"|"unsure"|"done"|"refused"|"lapsed",
 *   againAt: number|null, doneAt: number|null, left: number|null, code: string|null, requestId: string|null}} Operation
 *   times in ms; `batch` is shared by what was asked for in one go; `left`: portions in the store after it;
 *   `code`: the last part of the problem's type
 */

/** @returns {Operation} that adds `quantity` portions to the item */
export function restock({ item, quantity, key, batch, now }) {
  const path = `/v1/items/${item.id}/restock`;
  return operation({ what: "restock", itemId: item.id, name: item.name, quantity, path, body: { quantity }, key, batch, now });
}

/** @returns {Operation} that creates a dish, on sale at once */
export function create({ name, price, quantity, key, now }) {
  const body = { name, price, quantity };
  return operation({ what: "create", itemId: null, name, quantity, path: "/v1/items", body, key, batch: key, now });
}

function operation({ now, ...asked }) {
  const open = { state: "sending", tries: 0, againAt: null, doneAt: null, left: null, code: null, requestId: null };
  return { ...asked, ...open, madeAt: now };
}

/** The operation while its next try is under way. */
export const sending = (op) => ({ ...op, state: "sending", tries: op.tries + 1, againAt: null });

/** @returns {Operation} after an answer, or after none (status 0) */
export function answered(op, answer, now) {
  if (UNKNOWN_OUTCOME.has(answer.status)) return { ...op, state: "unsure", againAt: now + pauseMs(op, answer) };
  if (answer.status < 300) return { ...op, state: "done", doneAt: now, left: answer.data?.quantity ?? null };
  return { ...op, state: "refused", ...refusalOf(answer) };
}

function pauseMs(op, answer) {
  return 1_000 * Math.max(answer.retryAfterS ?? 0, Math.min(2 ** (op.tries - 1), LONGEST_PAUSE_S));
}

/** Operations whose next try is due. */
export const due = (operations, now) => operations.filter((op) => op.state === "unsure" && op.againAt <= now);

/** What a page that opens again does with what it stored: everything open is asked again, at once. */
export function resumed(operations, now) {
  return operations.map((op) => {
    if (op.state !== "sending" && op.state !== "unsure") return op;
    if (now - op.madeAt > KEY_LIFE_MS) return { ...op, state: "lapsed", againAt: null };
    return { ...op, state: "unsure", againAt: now };
  });
}

/** What is stored: all that is open, and all of a batch that is not wholly done, so that no half of it is forgotten. */
export function worthStoring(operations) {
  const unfinished = new Set(operations.filter((op) => op.state !== "done").map((op) => op.batch));
  return operations.filter((op) => unfinished.has(op.batch));
}

/** Puts the operation in the place of its older self, or at the end. */
export function replaced(operations, op) {
  const index = operations.findIndex(({ key }) => key === op.key);
  return index < 0 ? [...operations, op] : operations.with(index, op);
}

/** Numbers of a batch: how many are done, open and refused, and the portions that were added. */
export function tally(operations) {
  const count = (...states) => operations.filter((op) => states.includes(op.state)).length;
  const portions = operations.filter((op) => op.state === "done").reduce((sum, op) => sum + op.quantity, 0);
  return { all: operations.length, done: count("done"), open: count("sending", "unsure"), refused: count("refused", "lapsed"), portions };
}
