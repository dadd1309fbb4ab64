/**
 * One tab at a time. `take` waits for a Web Lock and keeps it until it is released; where a browser gives no locks (plain
 * http from another machine), every tab gets its turn at once, and the order's key alone prevents a second order.
 *
 * @typedef {{release: () => void, lost: Promise<void>}} Turn  `lost` is resolved when another tab has taken the lock.
 */

/** @param {string} name @param {{steal?: boolean}} [options] steal: take it from a tab that does nothing any more */
export function take(name, { steal = false } = {}) {
  const { locks } = globalThis.navigator ?? {};
  if (!locks) return Promise.resolve({ release() {}, lost: new Promise(() => {}) });
  return new Promise((granted) => {
    const { promise: lost, resolve: lose } = deferred();
    const held = (lock) => lock && new Promise((release) => granted({ release, lost }));
    locks.request(name, { steal }, held).catch(lose);
  });
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
