/**
 * The server's time, so that ages and countdowns are right on a device whose clock is wrong.
 *
 * A `Date` header is whole seconds and at least the answer's travel old, so each one tells how far the server's clock is
 * ahead at least. The greatest of these is the nearest to the truth, until the device's own clock is set.
 */

const DATE_STEP_MS = 1_000; // the resolution of a Date header
const LATEST_ANSWER_MS = 15_000; // an answer older than the longest time-out is a sign that this device's clock was set
let aheadMs = null;

/** The server's time in milliseconds since 1970; this device's time until the server has answered. */
export function now() {
  return Date.now() + (aheadMs ?? 0);
}

/** Learn from a `Date` header, or from a time of the server that has just arrived. Anything unreadable is ignored. */
export function hear(dateHeaderOrIso) {
  const at = Date.parse(dateHeaderOrIso ?? "");
  if (Number.isNaN(at)) return;
  const bound = at - Date.now();
  const isClockSet = aheadMs !== null && bound < aheadMs - DATE_STEP_MS - LATEST_ANSWER_MS;
  if (aheadMs === null || bound > aheadMs || isClockSet) aheadMs = bound;
}

/** Whole seconds since `iso` by the server's clock, never negative. */
export function ago(iso) {
  return Math.max(0, Math.floor((now() - Date.parse(iso)) / 1000));
}

/** Whole seconds until `untilMs` (the server's milliseconds), rounded up, never negative. */
export function countdown(untilMs) {
  return Math.max(0, Math.ceil((untilMs - now()) / 1000));
}

/**
 * Call `fn` at once and then every `ms` ± `jitterMs`, while the page is visible. A page that becomes visible again calls it
 * at once when a turn was missed. The next turn waits until the promise of the last one is settled, so turns never overlap.
 * @param {number} ms
 * @param {() => unknown} fn
 * @param {{jitterMs?: number}} [options]
 * @returns {() => void} stops the turns
 */
export function every(ms, fn, { jitterMs = 0 } = {}) {
  let timer = 0;
  let isMissed = false;
  let isStopped = false;
  const isHidden = () => globalThis.document?.visibilityState === "hidden";
  const next = () => {
    if (!isStopped) timer = setTimeout(turn, ms + jitterMs * (2 * Math.random() - 1));
  };
  const turn = async () => {
    isMissed = isHidden();
    if (isMissed) return;
    try {
      await fn();
    } finally {
      next();
    }
  };
  const onVisible = () => {
    if (isMissed && !isHidden()) turn();
  };
  globalThis.document?.addEventListener("visibilitychange", onVisible);
  turn();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    globalThis.document?.removeEventListener("visibilitychange", onVisible);
  };
}
