/** When a meal will be ready: the vectors that the kitchen's own implementation gives too, and what a page says of them. */

import { ordersAhead, rangeOfCooking, rangeOfQueued } from "/js/eta.js";
import { withChanges, withTold, isLate, pauseOf, rangeOf, silenceOf } from "/js/student/canteen.js";
import { withEvent } from "/js/orders.js";
import { check, equal } from "/units/check.js";

const vectors = await (await fetch("/units/eta.json")).json();
const at = Date.parse("2026-03-01T18:04:00Z");
const pace = vectors[0].pace;

function found({ pace, now, verified_at: verified, started_at: started }) {
  const time = Date.parse(now);
  if (started) return rangeOfCooking(pace, Date.parse(started), time);
  const ahead = verified ? ordersAhead(pace, Date.parse(verified)) : pace.queued;
  return ahead === null ? null : rangeOfQueued(pace, ahead, time);
}

const rounded = (range) => range && { from_s: range.from.toFixed(3), to_s: range.to.toFixed(3), at_once: range.atOnce };
const wanted = (range) => range && { from_s: range.from_s.toFixed(3), to_s: range.to_s.toFixed(3), at_once: range.at_once };

check("every vector gives the kitchen's own range", () => {
  equal(vectors.length > 25, true);
  for (const vector of vectors) equal([vector.name, rounded(found(vector))], [vector.name, wanted(vector.expected)]);
});

const cooking = (times) => ({ id: "a", status: "IN_KITCHEN", times, created_at: null });

check("without a time of its start, or once its time has passed, an order has no range", () => {
  equal(rangeOf(cooking({}), pace, at), null);
  equal(rangeOf(cooking({ IN_KITCHEN: "2026-03-01T18:03:00Z" }), pace, at), null);
  equal(rangeOf(cooking({ IN_KITCHEN: "2026-03-01T18:04:00Z" }), pace, at).to > 0, true);
  equal(rangeOf(cooking({ IN_KITCHEN: "2026-03-01T18:04:00Z" }), null, at), null);
});

check("an order is late half a minute after the time that was told first", () => {
  const orders = { a: cooking({ IN_KITCHEN: "2026-03-01T18:04:00Z" }) };
  const told = withTold(withTold({}, orders, pace, at), orders, { ...pace, prep_p90_s: 600 }, at + 1000);
  equal(told, { a: at + 1000 * pace.prep_p90_s });
  equal([30_000, 30_001].map((ms) => isLate(orders.a, told, told.a + ms)), [false, true]);
});

const pulse = (kitchen, age = 0) => ({ heardAt: at, data: { kitchen, kitchen_age_s: age } });

check("the kitchen is silent after five seconds, and then its pause counts no more", () => {
  const paused = { ...pace, is_open: false, reopens_at: "2026-03-01T18:14:00Z" };
  equal([0, 5000, 6000].map((ms) => silenceOf(pulse(pace), at + ms)), [0, 0, 6]);
  equal(silenceOf(pulse(null, null), at), 0);
  equal(pauseOf(pulse(paused), at), { until: paused.reopens_at });
  equal(pauseOf(pulse({ ...paused, reopens_at: null }), at), { until: null });
  equal([pauseOf(pulse(paused, 9), at), pauseOf(pulse(pace), at), pauseOf(null, at)], [null, null, null]);
  equal(pauseOf({ ...pulse(paused), heardAt: at + 600_000 }, at + 600_000), null);
});

check("changes of the menu replace their items, by name", () => {
  const item = (id, name, available) => ({ item_id: id, name, available });
  const menu = withChanges(null, [item("2", "Tehari", 9), item("1", "Firni", 3)]);
  equal(menu.map(({ name }) => name), ["Firni", "Tehari"]);
  equal(withChanges(menu, [item("1", "Firni", 0)]).map(({ available }) => available), [0, 9]);
});

check("an order keeps its number and code, in whatever order its stages arrive", () => {
  const pickup = { number: 417, code: "K7F2" };
  const ready = { order_id: "a", status: "READY", version: 4, at: "2026-03-01T18:05:00Z" };
  equal(withEvent(withEvent({}, ready), { ...ready, pickup }).a.pickup, pickup);
  equal(withEvent(withEvent({}, { ...ready, pickup }), { ...ready, status: "IN_KITCHEN", version: 3 }).a.pickup, pickup);
});
