/**
 * The order button: which request goes out, and what a student may do, in every state.
 *
 * Pure. Time, chance and a fresh key come in with each event; what has to be done comes out as effects. It keeps:
 * nothing is sent that was not stored before; a key never goes out with two bodies; no key is made while a record
 * exists; one request at a time; a final answer ends it.
 */

/** The server keeps a key for 24 hours; the last hour is left to clocks that differ. */
export const LAPSES_AFTER_MS = 23 * 3_600_000;
const LONGEST_PAUSE_S = 15;
const FINAL = new Set(["out-of-stock", "unknown-item", "expired"]);
const NOT_NOW = new Set(["overloaded", "intake-paused", "kitchen-full"]); // this request ordered nothing
const PENDING = new Set(["sending", "waiting", "unsure", "parked"]);
const REASONS = { OUT_OF_STOCK: "out-of-stock", UNKNOWN_ITEM: "unknown-item", EXPIRED: "expired" };

export const EMPTY = Object.freeze({
  name: "empty", lines: [], key: null, body: null, sent: [], goal: "order", tries: 0, sentAt: null,
  isStored: false, isDoubtful: false, until: null, why: null, problem: null, orderId: null,
});

export const isPending = (machine) => PENDING.has(machine.name);

/** Are the lines part of a request that may have gone out? */
export const isFrozen = (machine) => isPending(machine) || (machine.name === "signin" && machine.isStored);

/** May the student give up this request, because it certainly made nothing? */
export const canChange = (machine) =>
  machine.name === "waiting" || (machine.name === "parked" && !machine.isDoubtful);

/** May the student ask to cancel what may have been made? */
export const canCancel = (machine) =>
  machine.goal === "order" && (machine.name === "unsure" || (machine.name === "parked" && machine.isDoubtful));

export const codeOf = (problem) => problem?.type?.split("/").at(-1) ?? null;

/** One step. An event has `now`, `random`, a fresh `key`, `isOnline`, `isSignedIn`; one that means nothing leaves the same machine. */
export function next(machine, event) {
  const outcome = EVENTS[event.type](machine, event);
  return Array.isArray(outcome) ? { machine: outcome[0], effects: outcome.slice(1) } : { machine: outcome, effects: [] };
}

const EVENTS = {
  load(machine, event) {
    const { record, basket } = event;
    if (!record) return fresh(basket?.lines ?? [], basket?.key ?? event.key);
    const resumed = {
      ...EMPTY, key: record.key, body: record.body, sent: record.lines, goal: record.goal, tries: record.tries,
      sentAt: record.sent_at, orderId: record.order_id, isStored: true, isDoubtful: true,
    };
    if (record.order_id) return received(resumed, basket?.lines ?? []);
    const frozen = { ...resumed, name: "unsure", lines: record.lines, until: event.now };
    return hasLapsed(frozen, event) ? lapsed(frozen, event) : frozen;
  },

  /** The next basket has no key while an order is not confirmed. */
  lines(machine, { lines, key }) {
    if (isFrozen(machine)) return machine;
    if (machine.isStored) return { ...machine, lines };
    const keeps = machine.name === "ready" || machine.name === "signin";
    return fresh(lines, keeps ? machine.key : key);
  },

  press(machine, event) {
    if (!["ready", "refused", "lapsed"].includes(machine.name) || machine.lines.length === 0) return machine;
    const key = machine.name === "ready" ? machine.key : event.key;
    const pressed = { ...fresh(machine.lines, key), name: "signin" };
    return event.isSignedIn ? freeze(pressed, event) : pressed;
  },

  "signed-in"(machine, event) {
    // a stored order is resumed by "load", in this tab or in another one
    return machine.name === "signin" && !machine.isStored ? freeze(machine, event) : machine;
  },

  /** The record's transaction is complete: only now a request may go out. */
  stored(machine, event) {
    if (machine.name !== "sending" || machine.isStored) return machine;
    return send({ ...machine, isStored: true }, event);
  },

  /** The browser could not store it. What was stored before may go on; a new order is not sent. */
  unstored(machine, event) {
    if (machine.name !== "sending" || machine.isStored) return machine;
    if (machine.tries > 0) return send({ ...machine, isStored: true }, event);
    return { ...fresh(machine.lines, machine.key), why: "storage" };
  },

  answer(machine, event) {
    if (machine.name !== "sending" || !machine.isStored) return machine;
    return ANSWERS[kindOf(event.answer)](machine, event);
  },

  timer: (machine, event) => (isDue(machine, event) ? send(machine, event) : machine),
  visible: (machine, event) => (isDue(machine, event) ? send(machine, event) : machine),
  online: (machine, event) => (isWaiting(machine) ? send(machine, event) : machine),
  try: (machine, event) => (isWaiting(machine) ? send(machine, event) : machine),

  offline: (machine) => (isWaiting(machine) ? { ...machine, name: "parked", until: null } : machine),

  /** Nothing exists under the key, and it never goes out again. */
  change: (machine, { key }) => (canChange(machine) ? [fresh(machine.lines, key), { do: "forget" }] : machine),

  /** The request is repeated until it is known whether there is an order to cancel. */
  cancel(machine) {
    if (!canCancel(machine)) return machine;
    const cancelling = { ...machine, name: "sending", goal: "cancel", isStored: false, until: null };
    return [cancelling, { do: "store", record: recordOf(cancelling) }];
  },

  back(machine, { key }) {
    if (machine.name === "signin") return machine.isStored ? machine : fresh(machine.lines, machine.key);
    return ["refused", "broken", "lapsed", "accepted"].includes(machine.name) ? fresh(machine.lines, key) : machine;
  },

  status(machine, event) {
    if (machine.name !== "received" || machine.orderId !== event.orderId) return machine;
    const isKnown = event.status === "REJECTED" || event.version >= (machine.goal === "cancel" ? 3 : 2);
    if (!isKnown) return machine;
    const after = event.status === "REJECTED" && machine.goal === "order" && machine.lines.length === 0
      ? refused(machine.sent, { type: `/problems/${REASONS[event.reason]}` })
      : fresh(machine.lines, event.key);
    return [after, { do: "forget" }];
  },
};

const ANSWERS = {
  accepted(machine, { answer }) {
    if (machine.goal === "cancel") return [...received({ ...machine, orderId: answer.data.id }, []), follow(answer)];
    return [{ ...EMPTY, name: "accepted", orderId: answer.data.id }, { do: "forget" }, follow(answer)];
  },
  received: (machine, { answer }) => [...received({ ...machine, orderId: answer.data.id }, []), follow(answer)],
  refused(machine, { answer, key }) {
    const after = machine.goal === "cancel" ? fresh(machine.lines, key) : refused(machine.lines, answer.problem);
    return [after, { do: "forget" }];
  },
  broken: (machine, { answer }) => [
    { ...EMPTY, name: "broken", lines: machine.lines, problem: { ...answer.problem, request_id: answer.requestId } },
    { do: "forget" },
  ],
  busy: (machine, event) => notNow(machine, event, "busy"),
  limit: (machine, event) => notNow(machine, event, "limit"),
  unsure: (machine, event) => later({ ...machine, name: "unsure", isDoubtful: true }, event),
  unsigned(machine, event) {
    // the session may stand although it could not be renewed just now: nothing was done, so ask again
    if (event.isSignedIn) return notNow(machine, event, "session");
    return { ...machine, name: "signin", until: null };
  },
};

function kindOf({ status, problem }) {
  if (status === 201) return "accepted";
  if (status === 202) return "received";
  if (status === 401) return "unsigned";
  if (status === 409 && FINAL.has(codeOf(problem))) return "refused";
  if (status === 429) return "limit";
  if (status === 503 && NOT_NOW.has(codeOf(problem))) return "busy";
  return status >= 400 && status < 500 && status !== 408 ? "broken" : "unsure";
}

const fresh = (lines, key) => (lines.length === 0 ? EMPTY : { ...EMPTY, name: "ready", lines, key });

const refused = (lines, problem) => ({ ...EMPTY, name: "refused", lines, problem });

const follow = (answer) => ({ do: "follow", order: answer.data });

const isWaiting = (machine) => isPending(machine) && machine.name !== "sending";

const isDue = (machine, { now }) => isWaiting(machine) && machine.until !== null && now >= machine.until;

const hasLapsed = (machine, { now }) => now - machine.sentAt > LAPSES_AFTER_MS;

const lapsed = (machine) => [{ ...EMPTY, name: "lapsed", lines: machine.lines, sentAt: machine.sentAt }, { do: "forget" }];

function freeze(machine, { now }) {
  const body = JSON.stringify({ lines: machine.lines.map(({ item_id, quantity }) => ({ item_id, quantity })) });
  const frozen = { ...machine, name: "sending", body, sent: machine.lines, sentAt: now };
  return [frozen, { do: "store", record: recordOf(frozen) }];
}

function send(machine, event) {
  if (hasLapsed(machine, event)) return lapsed(machine);
  if (!event.isSignedIn) return { ...machine, name: "signin", until: null };
  if (!event.isOnline) return { ...machine, name: "parked", until: null };
  const sending = { ...machine, name: "sending", tries: machine.tries + 1, until: null, why: null, problem: null };
  return [sending, { do: "post", key: machine.key, body: machine.body }];
}

/** This request did nothing. If an earlier one may have, the order is as doubtful as before. */
function notNow(machine, event, why) {
  const { problem } = event.answer;
  return later(machine.isDoubtful ? { ...machine, name: "unsure" } : { ...machine, name: "waiting", why, problem }, event);
}

function later(machine, { answer, now, random, isOnline }) {
  if (!isOnline) return { ...machine, name: "parked", until: null };
  const pauseS = Math.max(answer.retryAfterS ?? 0, Math.min(2 ** machine.tries, LONGEST_PAUSE_S));
  return { ...machine, until: now + Math.round(pauseS * (1 + random / 2) * 1000) };
}

/** The order exists; the record stays until a later stage arrives, or the cancelling is decided. */
function received(machine, lines) {
  const after = { ...machine, name: "received", lines, until: null, isDoubtful: false };
  const effects = [{ do: "store", record: recordOf(after) }];
  return [after, ...(after.goal === "cancel" ? [...effects, { do: "cancel", orderId: after.orderId }] : effects)];
}

function recordOf(machine) {
  const { key, body, sent, sentAt, tries, orderId, goal } = machine;
  return { key, body, lines: sent, sent_at: sentAt, tries, order_id: orderId, goal };
}
