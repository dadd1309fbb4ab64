/** One order as four services know it, in one line of time. Pure: the clock is given. A service that is away hides no fact of the others. */

/**
 * @typedef {{at: string, what: string, detail: Object<string, string>}} Fact
 * @typedef {{orderId: string, answers: Object<string, Fact[]|null|undefined>}} Trace `answers` by service: its facts, null where it did not answer
 * @typedef {{status: "loading"|"shown"|"failed"|"none"|"wrong", student: string|null, items: object[], cursor: string|null}} Found
 * @typedef {{typed: string, found: Found|null, trace: Trace|null}} Tracing
 * @typedef {"decision"|"cook"|"cooking"|"collect"|"release"|"ended"} Stage what an order waits for
 */

export const TRACING = ["gateway", "stock", "kitchen", "notification"];

/** Of facts at the same moment, who did a thing comes before those who heard of it. */
const TELLING = ["stock", "kitchen", "gateway", "notification"];

export const LEAST_GAP_MS = 1_000;

const ORDER_ID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
const CALL_NUMBER = /^[0-9]{1,3}$/;
const PICKUP_CODE = /^[2-9A-HJKMNP-TV-Z]{4}$/;
const STUDENT_ID = /^[A-Za-z0-9-]{1,32}$/;

const STAGES = ["decision", "cook", "cooking", "collect", "release", "ended"];
const STAGE_OF = {
  "stock/reserved": "cook",
  "gateway/stock-verified": "cook",
  "kitchen/received": "cook",
  "kitchen/started": "cooking",
  "gateway/in-kitchen": "cooking",
  "kitchen/ready": "collect",
  "gateway/ready": "collect",
  "kitchen/cancelled": "release",
  "gateway/cancelled": "release",
  "stock/rejected": "ended",
  "gateway/rejected": "ended",
  "kitchen/collected": "ended",
  "gateway/collected": "ended",
  "stock/released": "ended",
  "gateway/released": "ended",
};

/** @returns {Tracing} */
export const emptyTracing = () => ({ typed: "", found: null, trace: null });

/** What somebody typed: a whole order id, what the kitchen calls a ticket by, or a student's id; null if it can be none. */
export function meant(typed) {
  const text = typed.trim();
  if (isOrderId(text.toLowerCase())) return { by: "order", value: text.toLowerCase() };
  if (CALL_NUMBER.test(text)) return { by: "number", value: text };
  if (PICKUP_CODE.test(text.toUpperCase())) return { by: "code", value: text.toUpperCase() };
  return STUDENT_ID.test(text) ? { by: "student", value: text } : null;
}

export const isOrderId = (text) => ORDER_ID.test(text);

const NOTHING_FOUND = { status: "loading", student: null, items: [], cursor: null };

export const looking = (tracing, student = null) => ({ ...tracing, found: { ...NOTHING_FOUND, student } });
export const foundNothing = (tracing, status) => ({ ...tracing, found: { ...NOTHING_FOUND, status } });

/** A page of a student's orders. The answer to an earlier search is dropped. */
export function afterOrders(tracing, found, answer, isMore) {
  if (tracing.found !== found) return tracing;
  if (answer.status !== 200) return { ...tracing, found: { ...found, status: "failed" } };
  const items = isMore ? [...found.items, ...answer.data.items] : answer.data.items;
  return { ...tracing, found: { ...found, status: items.length ? "shown" : "none", items, cursor: answer.data.next_cursor } };
}

/** What is shown of the same order stays until it is read anew. */
export function openedOrder(tracing, orderId) {
  const answers = tracing.trace?.orderId === orderId ? tracing.trace.answers : {};
  return { ...tracing, trace: { orderId, answers } };
}

export const closedOrder = (tracing) => ({ ...tracing, trace: null });

/** The answer of one service; it comes too late if another order is shown by now. */
export function afterTrace(tracing, orderId, service, answer) {
  const { trace } = tracing;
  if (trace?.orderId !== orderId) return tracing;
  const facts = answer.status === 200 ? answer.data.facts : null;
  return { ...tracing, trace: { ...trace, answers: { ...trace.answers, [service]: facts } } };
}

export const isRead = ({ answers }) => TRACING.every((service) => answers[service] !== undefined);
export const away = ({ answers }) => TRACING.filter((service) => answers[service] === null);

/** Nobody has heard of it, and everybody was asked. */
export const isUnknown = (trace) => TRACING.every((service) => trace.answers[service]?.length === 0);

/**
 * All facts by time, and between them each wait of over a second, named by what the order waited for. A last entry says what
 * it waits for now.
 * @param {Trace} trace
 * @param {number} clock milliseconds of now
 */
export function timeline(trace, clock) {
  const facts = TELLING.flatMap((service) => (trace.answers[service] ?? []).map((fact) => ({ ...fact, service, ms: Date.parse(fact.at) })));
  facts.sort((one, other) => one.ms - other.ms);
  const entries = [];
  let stage = STAGES[0];
  let beforeMs = facts[0]?.ms;
  for (const fact of facts) {
    if (fact.ms - beforeMs > LEAST_GAP_MS) entries.push({ kind: "waited", stage, sinceMs: beforeMs, ms: fact.ms - beforeMs });
    entries.push({ kind: "fact", ...fact });
    stage = later(stage, STAGE_OF[`${fact.service}/${fact.what}`]);
    beforeMs = fact.ms;
  }
  const isWaiting = facts.length > 0 && stage !== "ended" && clock - beforeMs > LEAST_GAP_MS;
  return isWaiting ? [...entries, { kind: "waits", stage, sinceMs: beforeMs, ms: clock - beforeMs }] : entries;
}

const later = (stage, other) => (STAGES.indexOf(other) > STAGES.indexOf(stage) ? other : stage);
