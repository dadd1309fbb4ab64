/** What the kitchen's page asks for besides its pictures: a ticket by its code, and an action on a ticket. */

import { ask } from "../api.js";
import { now } from "../clock.js";
import { troubleOf } from "./watch.js";

const PAGE = 200; // the most that the kitchen gives at once
const SEARCHED_PAGES = 10;
const SEARCHED_MS = 24 * 60 * 60_000; // nobody fetches an older meal

/**
 * Looks for tickets among the newest ones, at most 2,000 and at most a day old.
 * @param {(ticket: import("./model.js").Ticket) => boolean} isWanted
 * @returns {Promise<{found: import("./model.js").Ticket[]} | {trouble: string, retryAfterS: number}>}
 */
export async function search(isWanted) {
  const found = [];
  let cursor = null;
  for (let page = 0; page < SEARCHED_PAGES; page += 1) {
    const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const answer = await ask(`/v1/tickets?limit=${PAGE}${after}`);
    if (answer.status !== 200) return troubleOf(answer);
    found.push(...answer.data.items.filter(isWanted));
    cursor = answer.data.next_cursor;
    if (cursor === null || isOld(answer.data.items.at(-1))) break;
  }
  return { found };
}

const NUMBER = /^\d{1,3}$/;
const CODE = /^[0-9A-Z]{4}$/;

/** What people name a meal by, `{number}` or `{code}`; null for what can be neither. */
export function wantedOf(typed) {
  if (NUMBER.test(typed)) return { number: Number(typed) };
  return CODE.test(typed) ? { code: typed } : null;
}

/** @returns {(ticket: import("./model.js").Ticket) => boolean} */
export function isNamed({ number, code }) {
  return ({ pickup }) => (code === undefined ? pickup?.number === number : pickup?.code === code);
}

/** Ask for the newest ticket of the last day with this number or code. */
export async function findNamed(wanted) {
  const answer = await ask(`/v1/tickets?${new URLSearchParams(wanted)}`);
  return answer.status === 200 ? { found: answer.data.items } : troubleOf(answer);
}

/** @param {"start" | "ready" | "collect"} action @returns {Promise<import("../api.js").Answer>} */
export function take(ticketId, action) {
  return ask(`/v1/tickets/${ticketId}/${action}`, { method: "POST" });
}

function isOld(ticket) {
  return now() - Date.parse(ticket.received_at) > SEARCHED_MS;
}
