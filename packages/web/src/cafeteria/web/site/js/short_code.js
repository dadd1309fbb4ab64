/**
 * What people name a meal by: the call number of its ticket, which the hall's screen shows; before there is one, four characters
 * of the order's id. None of these is a secret, as the pickup code is.
 */

import { latinDigits } from "./words.js";

const LENGTH = 4;
const RANDOM_TAIL = 8;
const LOOK_ALIKES = { O: "0", Q: "0", I: "1", L: "1" };

/**
 * The code is taken from the last eight digits of the id: in a UUIDv7 of one process only these are random.
 * @param {string} orderId a UUID
 * @returns {string} four characters of 0–9 and A–F
 */
export function shortCode(orderId) {
  const digits = orderId.replaceAll("-", "");
  return digits.slice(-RANDOM_TAIL, LENGTH - RANDOM_TAIL).toUpperCase();
}

/** "007", as the hall's screen shows it; null before a cook has begun. */
export const numberOf = ({ pickup }) => (pickup ? String(pickup.number).padStart(3, "0") : null);

/** The name of a student's order. */
export const nameOfOrder = (order) => numberOf(order) ?? shortCode(order.id);

/** The name of a ticket. Those of an older kitchen have no number. */
export const nameOfTicket = (ticket) => numberOf(ticket) ?? shortCode(ticket.order_id);

/**
 * What a person typed, as a code: upper case, without spaces and signs, with Bangla digits and look-alikes replaced.
 * @param {string} text
 * @returns {string} maybe longer or shorter than a code; compare it with `shortCode`
 */
export function typedCode(text) {
  const plain = latinDigits(text.toUpperCase()).replace(/[^0-9A-Z]/g, "");
  return plain.replace(/[OQIL]/g, (letter) => LOOK_ALIKES[letter]);
}
