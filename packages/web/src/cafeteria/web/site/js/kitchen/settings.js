/** The settings of one screen, kept in its browser: another screen of the same kitchen can have others. */

import * as store from "../store.js";

const KEY = "kitchen/settings";

/**
 * `soonMin`, `lateMin`: minutes after which a ticket is marked. `undoS`: seconds before a press is sent; 4 is one second more
 * than Square's kitchen screen gives. `digitPresses`: a digit presses the ticket's button at once, for bump bars.
 */
export const DEFAULTS = Object.freeze({ soonMin: 5, lateMin: 8, undoS: 4, keys: true, digitPresses: false });

/** The bounds of the numbers, for the form and for what is read back. */
export const BOUNDS = Object.freeze({ soonMin: [1, 120], lateMin: [1, 240], undoS: [0, 10] });

/** @returns {Promise<typeof DEFAULTS>} */
export async function load() {
  return clean((await store.get(KEY)) ?? {});
}

/** @param {typeof DEFAULTS} settings */
export function save(settings) {
  return store.put(KEY, settings);
}

/** Whole numbers within their bounds, and LATE never before SOON; what is no setting is left out. */
export function clean(raw) {
  const numbers = Object.fromEntries(Object.keys(BOUNDS).map((name) => [name, bounded(name, raw[name])]));
  const lateMin = Math.max(numbers.lateMin, numbers.soonMin);
  return { ...numbers, lateMin, keys: raw.keys ?? DEFAULTS.keys, digitPresses: raw.digitPresses ?? DEFAULTS.digitPresses };
}

function bounded(name, value) {
  const [least, most] = BOUNDS[name];
  const number = Math.round(Number(value ?? NaN));
  return Number.isFinite(number) ? Math.min(most, Math.max(least, number)) : DEFAULTS[name];
}
