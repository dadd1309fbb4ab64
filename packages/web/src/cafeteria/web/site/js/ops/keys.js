/** Idempotency keys. */

const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH = 22; // of 62 signs: 131 bits
const FAIR = 256 - (256 % SIGNS.length); // greater bytes would make some signs likelier

/** A key that nobody else makes. Not randomUUID: that needs a secure context. */
export function freshKey() {
  let key = "";
  while (key.length < LENGTH) {
    const bytes = crypto.getRandomValues(new Uint8Array(LENGTH));
    key += Array.from(bytes)
      .filter((byte) => byte < FAIR)
      .map((byte) => SIGNS[byte % SIGNS.length])
      .join("");
  }
  return key.slice(0, LENGTH);
}
