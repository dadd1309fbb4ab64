/** What arrives about orders, in any order and any number of times. */

import { active, canCancel, hasEnded, newestFirst, stageOf, timeOf, withAnswer, withEvent } from "/js/orders.js";
import { check, equal, ok } from "/units/check.js";

const A = "0193a5e0-4c00-7000-8000-0000000000a1";
const B = "0193a5e0-4c01-7000-8000-0000000000b2";
const NOW = Date.parse("2026-03-01T18:20:00Z");
const minute = (m) => `2026-03-01T18:${String(m).padStart(2, "0")}:00.000000Z`;
const event = (order_id, status, version, m, reason = null) => ({ order_id, status, version, at: minute(m), reason });
const order = (id, status, version, more = {}) => ({
  id, status, version, reason: null, total: version > 1 ? "220.00" : null, created_at: minute(4),
  lines: [{ item_id: "1", name: version > 1 ? "Beef Haleem" : null, quantity: 2, unit_price: null }], ...more,
});
const ARRIVED = [
  ["event", event(A, "PENDING", 1, 4)], ["event", event(A, "STOCK_VERIFIED", 2, 5)],
  ["event", event(A, "IN_KITCHEN", 3, 7)], ["event", event(A, "READY", 4, 9)],
  ["answer", order(A, "PENDING", 1)], ["answer", order(A, "IN_KITCHEN", 3)],
  ["event", event(B, "PENDING", 1, 6)], ["event", event(B, "REJECTED", 2, 7, "OUT_OF_STOCK")],
  ["answer", order(B, "REJECTED", 2, { reason: "OUT_OF_STOCK", created_at: minute(6) })],
];
const take = (orders, [how, what]) => (how === "event" ? withEvent(orders, what) : withAnswer(orders, what));
const all = (arrived) => arrived.reduce(take, {});

check("a stage counts by its version, and its time is kept when it comes late", () => {
  const orders = all([["event", event(A, "READY", 4, 9)], ["event", event(A, "IN_KITCHEN", 3, 7)]]);
  equal([orders[A].status, timeOf(orders[A], "IN_KITCHEN"), timeOf(orders[A], "READY")], ["READY", minute(7), minute(9)]);
  equal(stageOf(orders[A]), 3);
});

check("any order and any repetition gives the same", () => {
  const sorted = (orders) => Object.entries(orders).sort().map(([id, { times, ...rest }]) => [id, rest, Object.entries(times).sort()]);
  const expected = sorted(all(ARRIVED));
  for (let round = 0; round < 500; round += 1) {
    const shuffled = [...ARRIVED, ...ARRIVED.filter(() => Math.random() < 0.5)]
      .map((what) => [Math.random(), what]).sort(([a], [b]) => a - b).map(([, what]) => what);
    equal(sorted(all(shuffled)), expected);
  }
});

check("what is not new leaves the same object", () => {
  const orders = all(ARRIVED);
  for (const what of ARRIVED) ok(take(orders, what) === orders, `${what[0]} ${what[1].status}`);
});

check("an order that only the gateway knows has the time at which it was made", () => {
  equal(timeOf(all([["answer", order(A, "STOCK_VERIFIED", 2)]])[A], "PENDING"), minute(4));
  equal(timeOf(all([["answer", order(A, "STOCK_VERIFIED", 2)]])[A], "STOCK_VERIFIED"), null);
});

check("only an order that the kitchen has not begun can be cancelled", () => {
  const at = (status) => ({ status });
  equal(["PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY"].map((s) => canCancel(at(s))), [true, true, false, false]);
  equal(["READY", "COLLECTED", "REJECTED", "CANCELLED"].map((s) => hasEnded(at(s))), [false, true, true, true]);
});

check("the newest comes first, and what is ready before all", () => {
  const orders = all([["event", event(A, "READY", 4, 9)], ["event", event(B, "PENDING", 1, 10)]]);
  equal(newestFirst(orders).map(({ id }) => id), [B, A]);
  equal(active(orders, NOW).map(({ id }) => id), [A, B]);
});

check("what has ended, or waits at the counter for half an hour, is not active", () => {
  const old = NOW + 30 * 60_000;
  equal(active(all([["event", event(A, "READY", 4, 9)]]), old), []);
  equal(active(all([["event", event(A, "COLLECTED", 5, 9)]]), NOW), []);
  equal(active(all([["event", event(A, "IN_KITCHEN", 3, 9)]]), old).length, 1);
});

check("at most 200 orders are kept, those that have ended go first", () => {
  let orders = withEvent({}, event(A, "PENDING", 1, 1));
  for (let n = 0; n < 250; n += 1) {
    orders = withEvent(orders, event(`0193a5e1-0000-7000-8000-${String(n).padStart(12, "0")}`, "COLLECTED", 5, 2));
  }
  equal([Object.keys(orders).length, A in orders], [200, true]);
});
