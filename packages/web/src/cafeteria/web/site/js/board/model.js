/**
 * The state of the hall's board, and what it shows of the kitchen's answer: pure. Times are the server's ms.
 *
 * @typedef {{is_open: boolean, reopens_at: string | null, ready: {number: number, since: string}[], cooking: number[],
 *   waiting: number}} Board `ready` is sorted, the latest first
 */

import { numberOf } from "../short_code.js";

export const PAGE = 24;
export const PAGE_MS = 8_000;
const NEW_FOR_MS = 15_000;
const LONGER_AFTER_MS = 10 * 60_000;
const BEHIND_AFTER_MS = 5_000; // two rounds and their answers
const STALE_AFTER_MS = 10_000;
const COOKING_SHOWN = 30;
const LONGER_SHOWN = 12;
const SIZES = { few: 8, some: 15 }; // so many have room for larger figures

/** @param {number} now the server's ms */
export function initial(now) {
  return { now, board: null, asOf: now, isTroubled: false, page: 0, isPaused: false };
}

/** The next state. An event that means nothing changes nothing. */
export function act(state, event) {
  return CHANGES[event.type]?.(state, event) ?? state;
}

const CHANGES = {
  tick: (state, { now }) => ({ ...state, now }),
  board: (state, { board, asOf, now }) => ({ ...state, board, asOf, now, isTroubled: false }),
  unchanged: (state, { asOf, now }) => ({ ...state, asOf, now, isTroubled: false }),
  trouble: (state, { now }) => ({ ...state, now, isTroubled: true }),
  turn: (state) => (state.isPaused || state.board === null ? state : { ...state, page: state.page + 1 }),
  pause: (state) => ({ ...state, isPaused: !state.isPaused }),
};

/**
 * @param {Board} board
 * @returns {{ready: {number: string, isNew: boolean}[], longer: string[], moreLonger: number, cooking: string[],
 *   moreCooking: number, waiting: number}} `ready` newest first; `longer` has waited for more than ten minutes, longest first
 */
export function hall(board, now) {
  const waited = ({ since }) => now - Date.parse(since);
  const fresh = board.ready.filter((meal) => waited(meal) <= LONGER_AFTER_MS);
  const longer = board.ready.slice(fresh.length).reverse();
  return {
    ready: fresh.map((meal) => ({ number: shown(meal.number), isNew: waited(meal) < NEW_FOR_MS })),
    longer: longer.slice(0, LONGER_SHOWN).map((meal) => shown(meal.number)),
    moreLonger: Math.max(0, longer.length - LONGER_SHOWN),
    cooking: board.cooking.slice(0, COOKING_SHOWN).map(shown),
    moreCooking: Math.max(0, board.cooking.length - COOKING_SHOWN),
    waiting: board.waiting,
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
export function trustOf({ board, asOf, isTroubled, now }) {
  if (board === null) return isTroubled ? "stale" : "loading";
  const age = now - asOf;
  if (age > STALE_AFTER_MS) return "stale";
  return isTroubled || age > BEHIND_AFTER_MS ? "behind" : "live";
}

/** The numbers that became ready since the board before. */
export function additions(before, after) {
  if (before === null) return [];
  const known = new Set(before.ready.map(keyOf));
  return after.ready.filter((meal) => !known.has(keyOf(meal))).map((meal) => shown(meal.number));
}

/** Numbers come again; a number with its time does not. */
function keyOf({ number, since }) {
  return `${number} ${since}`;
}

function shown(number) {
  return numberOf({ pickup: { number } });
}
