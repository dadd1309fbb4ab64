/** What the stream tells of menu and kitchen, and what that means for an order. Pure. */
import { ordersAhead, rangeOfCooking, rangeOfQueued } from "../eta.js";
import { timeOf } from "../orders.js";

const SILENT_AFTER_S = 5;
const LATE_AFTER_MS = 30_000;

/** The menu with the items that changed, by name. */
export function withChanges(items, changes) {
  const byId = new Map([...(items ?? []), ...changes].map((item) => [item.item_id, item]));
  return [...byId.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.item_id < b.item_id ? -1 : 1));
}

/** When each order was first told to be ready at the latest: being late is measured by that. */
export function withTold(told, orders, pace, now) {
  const after = { ...told };
  for (const order of Object.values(orders)) {
    const range = after[order.id] === undefined && rangeOf(order, pace, now);
    if (range) after[order.id] = now + 1000 * range.to;
  }
  return after;
}

/** Seconds from now until an order is ready, `{from, to}`; null without an estimate, or where none is due any more. */
export function rangeOf(order, pace, now) {
  if (!pace) return null;
  const range = order.status === "IN_KITCHEN" ? cookingRange(order, pace, now) : queuedRange(order, pace, now);
  return range && range.to > 0 ? range : null;
}

/** Null where the order is known from an answer alone, which has no times. */
function cookingRange(order, pace, now) {
  const startedAt = Date.parse(timeOf(order, "IN_KITCHEN") ?? "");
  return Number.isNaN(startedAt) ? null : rangeOfCooking(pace, startedAt, now);
}

function queuedRange(order, pace, now) {
  const ahead = aheadOf(order, pace);
  return ahead === null ? null : rangeOfQueued(pace, ahead, now);
}

/** How many orders are before this one; null where that is not known. */
export function aheadOf(order, pace) {
  const verifiedAt = Date.parse(timeOf(order, "STOCK_VERIFIED") ?? "");
  return order.status === "STOCK_VERIFIED" && pace && !Number.isNaN(verifiedAt) ? ordersAhead(pace, verifiedAt) : null;
}

/** When an order of this moment would be ready. */
export const rangeNow = (pace, now) => (pace ? rangeOfQueued(pace, pace.queued, now) : null);

export function isLate(order, told, now) {
  return (order.status === "STOCK_VERIFIED" || order.status === "IN_KITCHEN") && now > (told[order.id] ?? Infinity) + LATE_AFTER_MS;
}

/** For how many seconds the kitchen has not been heard of; 0 while that is nothing to tell. */
export function silenceOf(pulse, now) {
  if (!pulse || pulse.data.kitchen_age_s === null) return 0;
  const s = Math.floor(pulse.data.kitchen_age_s + (now - pulse.heardAt) / 1000);
  return s > SILENT_AFTER_S ? s : 0;
}

/** The pause of the intake, `{until}` with an ISO time or null; null while orders are taken, or where that is not known. */
export function pauseOf(pulse, now) {
  const pace = pulse?.data.kitchen;
  if (!pace || pace.is_open || silenceOf(pulse, now)) return null;
  const isOver = pace.reopens_at !== null && Date.parse(pace.reopens_at) <= now;
  return isOver ? null : { until: pace.reopens_at };
}
