/** The state of the hall's board, and what it shows of a picture of the tickets: pure. Times are the server's ms. */

import { nameOfTicket } from "../short_code.js";
import { BEHIND_AFTER_MS, WAITING_AFTER_MS, count, toCook, toHandOut, waitedReady } from "../kitchen/model.js";

export const PAGE = 24;
export const PAGE_MS = 8_000;
const NEW_FOR_MS = 15_000;
const STALE_AFTER_MS = 10_000;
const COOKING_SHOWN = 30;
const LONGER_SHOWN = 12;
const SIZES = { few: 8, some: 15 }; // so many have room for larger figures

/** @param {number} now the server's ms */
export function initial(now) {
  return { now, who: undefined, picture: null, trouble: null, page: 0, isPaused: false };
}

/** The next state. An event that means nothing changes nothing. */
export function act(state, event) {
  return CHANGES[event.type]?.(state, event) ?? state;
}

const CHANGES = {
  tick: (state, { now }) => ({ ...state, now }),
  who: (state, { who }) => ({ ...state, who, trouble: null }),
  picture: (state, { picture, now }) => ({ ...state, picture, trouble: null, now }),
  trouble: (state, { trouble, now }) => ({ ...state, trouble, now }),
  turn: (state) => (state.isPaused || state.picture === null ? state : { ...state, page: state.page + 1 }),
  pause: (state) => ({ ...state, isPaused: !state.isPaused }),
};

/**
 * @param {import("../kitchen/model.js").Picture} picture
 * @returns {{ready: {id: string, code: string, isNew: boolean}[], longer: string[], moreLonger: number,
 *   cooking: string[], moreCooking: number, waiting: number}}
 *   `ready` newest first; `longer` has waited for more than ten minutes, longest first
 */
export function hall(picture, now) {
  const ready = toHandOut(picture.tickets);
  const longer = ready.filter((ticket) => waitedReady(ticket, now) >= WAITING_AFTER_MS);
  const fresh = ready.slice(longer.length).reverse();
  const cooking = toCook(picture.tickets, "cooking");
  return {
    ready: fresh.map((ticket) => ({ id: ticket.id, code: nameOfTicket(ticket), isNew: waitedReady(ticket, now) < NEW_FOR_MS })),
    longer: longer.slice(0, LONGER_SHOWN).map(codeOf),
    moreLonger: Math.max(0, longer.length - LONGER_SHOWN) + count(picture, "READY").beyond,
    cooking: cooking.slice(0, COOKING_SHOWN).map(codeOf),
    moreCooking: count(picture, "IN_KITCHEN").all - Math.min(cooking.length, COOKING_SHOWN),
    waiting: count(picture, "QUEUED").all,
  };
}

/** One page of the ready numbers. `page` counts on for ever and begins again after the last page. */
export function pageOf(ready, page) {
  const pages = Math.max(1, Math.ceil(ready.length / PAGE));
  const current = page % pages;
  return { shown: ready.slice(current * PAGE, (current + 1) * PAGE), current: current + 1, pages };
}

/** @returns {"few" | "some" | "many"} how large the figures can be */
export function sizeOf(ready) {
  return Object.keys(SIZES).find((size) => ready.length <= SIZES[size]) ?? "many";
}

/** @returns {"loading" | "live" | "behind" | "stale"} stale: nobody should trust a number on this screen */
export function trustOf({ picture, trouble, now }) {
  if (picture === null) return trouble === null ? "loading" : "stale";
  const age = now - picture.asOf;
  if (age > STALE_AFTER_MS) return "stale";
  return trouble === "away" || age > BEHIND_AFTER_MS ? "behind" : "live";
}

/** The codes that became ready since the picture before. */
export function additions(before, after) {
  if (before === null) return [];
  const known = (ticket) => before.tickets.get(ticket.id)?.status === "READY";
  return toHandOut(after.tickets).filter((ticket) => !known(ticket)).map(codeOf);
}

function codeOf(ticket) {
  return nameOfTicket(ticket);
}
