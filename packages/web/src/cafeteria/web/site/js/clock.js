/**
 * The server's time, also on a device whose clock is wrong. A `Date` header is old by its travel and cut to seconds: it says
 * how far the server is ahead at least, and the greatest of these is nearest to the truth until the device's clock is set.
 */

const DATE_STEP_MS = 1_000; // the resolution of a Date header
const LATEST_ANSWER_MS = 15_000; // older than the longest time-out: this device's clock was set
let aheadMs = null;

/** The server's milliseconds; this device's until the server has answered. */
export function now() {
  return Date.now() + (aheadMs ?? 0);
}

/** Learn from a time of the server that has just arrived; what cannot be read is ignored. */
export function hear(dateHeaderOrIso) {
  const at = Date.parse(dateHeaderOrIso ?? "");
  if (Number.isNaN(at)) return;
  const bound = at - Date.now();
  const isClockSet = aheadMs !== null && bound < aheadMs - DATE_STEP_MS - LATEST_ANSWER_MS;
  if (aheadMs === null || bound > aheadMs || isClockSet) aheadMs = bound;
}

/** Whole seconds since `iso`, never negative. */
export function ago(iso) {
  return Math.max(0, Math.floor((now() - Date.parse(iso)) / 1000));
}

/** Whole seconds until the server's `untilMs`, rounded up, never negative. */
export function countdown(untilMs) {
  return Math.max(0, Math.ceil((untilMs - now()) / 1000));
}

/**
 * Call `fn` at once and then every `ms` ± `jitterMs`; while the page is hidden not at all, and after that at once. Turns
 * never overlap: each waits for the promise of the last. Gives the function that stops them.
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
