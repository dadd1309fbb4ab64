/**
 * When a meal will be ready, from the kitchen's pace. Pure, and the same as the kitchen's own `ready_range.py`: the vectors
 * in the contracts hold both. Times are milliseconds, ranges seconds from now.
 */

const WAIT_FROM = 0.85; // how much shorter or longer than at the present pace an order may wait
const WAIT_TO = 1.15;

/** The range of an order that has `ahead` others before it; null without an estimate. */
export function rangeOfQueued(pace, ahead, now) {
  const free = pace.stations === null ? 0 : Math.max(0, pace.stations - pace.in_kitchen);
  const atOnce = ahead < free;
  if (!atOnce && pace.per_min <= 0) return null;
  const wait = pace.delay_s + (atOnce ? 0 : ((ahead - free + 1) * 60) / pace.per_min);
  return range(WAIT_FROM * wait + shortest(pace), WAIT_TO * wait + pace.prep_p90_s, (now - Date.parse(pace.at)) / 1000, atOnce);
}

/** The range of an order that a cook has begun. */
export function rangeOfCooking(pace, startedAt, now) {
  return range(shortest(pace), pace.prep_p90_s, (now - startedAt) / 1000, true);
}

/** How many orders were verified earlier and wait, interpolated; null if the pace is older than this order. */
export function ordersAhead(pace, verifiedAt) {
  const at = Date.parse(pace.at);
  if (verifiedAt > at) return null;
  if (pace.queue.length === 0) return 0;
  const marks = [...pace.queue.map((mark) => [Date.parse(mark.verified_at), mark.ahead]), [at, pace.queued]];
  if (verifiedAt <= marks[0][0]) return marks[0][1];
  const next = marks.findIndex(([time]) => verifiedAt <= time);
  const [[earlier, less], [later, more]] = [marks[next - 1], marks[next]];
  return less + ((more - less) * (verifiedAt - earlier)) / (later - earlier);
}

function range(from, to, passed, atOnce) {
  return { from: Math.max(0, from - passed), to: Math.max(0, to - passed), atOnce };
}

/** As far below the median of cooking as the 90th percentile lies above it, but no less than its half. */
function shortest({ prep_p50_s: p50, prep_p90_s: p90 }) {
  return Math.max(p50 / 2, 2 * p50 - p90);
}
