/**
 * The student's orders, as far as this page knows them.
 *
 * Pure. Any order and any repetition of what arrives gives the same: a stage counts by its version, its time is
 * kept whenever it arrives, and the lines are those of the latest answer of the gateway.
 */

export const STAGES = ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY"];
const ENDED = new Set(["COLLECTED", "REJECTED", "CANCELLED"]);
const STILL_SHOWN_MS = 30 * 60_000; // as long as the server's stream shows an order whose last stage is old
const MAX_ORDERS = 200;
const DECIDED = 2; // from this version on an order has its prices, and they stay

/** Takes in one event of the stream. Where nothing is new, the same object. */
export function withEvent(orders, { order_id: id, status, version, at, reason = null, pickup = null }) {
  const before = orders[id] ?? unknown(id);
  const isKnown = before.times[status] === at && version <= before.version;
  if (isKnown && (before.pickup !== null || pickup === null)) return orders;
  const after = { ...before, times: { ...before.times, [status]: at }, reason: before.reason ?? reason, pickup: before.pickup ?? pickup };
  return put(orders, version > before.version ? { ...after, status, version } : after);
}

export function withAnswer(orders, { id, status, version, reason = null, lines, total, created_at }) {
  const before = orders[id] ?? unknown(id);
  if (version <= before.linesVersion) return orders;
  const after = { ...before, created_at, lines, total, linesVersion: version, reason: before.reason ?? reason };
  return put(orders, version > before.version ? { ...after, status, version } : after);
}

/** When the order entered a stage, as ISO text; null where this page does not know. */
export const timeOf = (order, status) =>
  order.times[status] ?? (status === "PENDING" ? order.created_at : null) ?? null;

export const hasEnded = (order) => ENDED.has(order.status);

export const canCancel = (order) => order.status === "PENDING" || order.status === "STOCK_VERIFIED";

/** All orders, the newest first: an order's id begins with the time at which it was made. */
export const newestFirst = (orders) => Object.values(orders).sort((a, b) => (a.id < b.id ? 1 : -1));

/** Orders under way, or just ended, whose lines and prices this page does not have yet. */
export const lacking = (orders) =>
  Object.values(orders).filter((order) => order.linesVersion < Math.min(order.version, DECIDED)).map(({ id }) => id);

/** Live orders, those that are ready before all others; `now` in milliseconds of the server's clock. */
export function active(orders, now) {
  const live = newestFirst(orders).filter((order) => !hasEnded(order) && !isForgotten(order, now));
  return [...live.filter(({ status }) => status === "READY"), ...live.filter(({ status }) => status !== "READY")];
}

/** A box that nobody has fetched for half an hour stays under "My orders" alone. */
function isForgotten(order, now) {
  const since = order.status === "READY" ? order.times.READY ?? order.created_at : null;
  return since !== null && now - Date.parse(since) > STILL_SHOWN_MS;
}

/** Which stage of the tracker an order is at: 0 to 3, 4 once it is collected, -1 if it was rejected or cancelled. */
export const stageOf = (order) => (order.status === "COLLECTED" ? STAGES.length : STAGES.indexOf(order.status));

function unknown(id) {
  return {
    id, status: "PENDING", version: 0, reason: null, times: {}, created_at: null, lines: [], total: null,
    linesVersion: 0, pickup: null,
  };
}

function put(orders, order) {
  const after = { ...orders, [order.id]: order };
  const ids = Object.keys(after);
  if (ids.length <= MAX_ORDERS) return after;
  const oldest = ids.filter((id) => hasEnded(after[id])).sort()[0] ?? ids.sort()[0];
  const { [oldest]: _, ...kept } = after;
  return kept;
}
