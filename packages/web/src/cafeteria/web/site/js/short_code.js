/** The four characters by which people name an order: "order 3F9A". They are no secret, and two orders can share them. */

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

/**
 * What a person typed, as a code: upper case, without spaces and signs, with Bangla digits and look-alikes replaced.
 * @param {string} text
 * @returns {string} maybe longer or shorter than a code; compare it with `shortCode`
 */
export function typedCode(text) {
  const plain = latinDigits(text.toUpperCase()).replace(/[^0-9A-Z]/g, "");
  return plain.replace(/[OQIL]/g, (letter) => LOOK_ALIKES[letter]);
}
