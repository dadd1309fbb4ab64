/** The order button: each row of its table, and 10,000 random walks that keep what it promises. */

import { EMPTY, LAPSES_AFTER_MS, canCancel, canChange, isFrozen, next } from "/js/machine.js";
import { check, equal, ok } from "/units/check.js";

const HALEEM = { item_id: "1", name: "Beef Haleem", unit_price: "110.00", quantity: 2 };
const FIRNI = { item_id: "2", name: "Firni", unit_price: "40.00", quantity: 1 };
const LATER = { now: 1000, random: 0, key: "fresh", isOnline: true, isSignedIn: true };
const problem = (code) => ({ type: `/problems/${code}` });
const answer = (status, more = {}) => ({ type: "answer", answer: { status, problem: null, data: null, ...more } });
const BUSY = answer(503, { problem: problem("overloaded"), retryAfterS: 3 });
const NO_ANSWER = answer(0);
const PLACED = answer(201, { data: { id: "order-1", version: 2 } });
const RECEIVED = answer(202, { data: { id: "order-1", version: 1 } });
const SOLD_OUT = answer(409, { problem: { ...problem("out-of-stock"), item_ids: ["1"] } });

/** The machine after these events, and the effects of the last one. */
function after(...events) {
  return events.reduce(({ machine }, event) => next(machine, { ...LATER, ...event }), { machine: EMPTY, effects: [] });
}
const LINES = { type: "lines", lines: [HALEEM], key: "first" };
const PRESS = { type: "press" };
const STORED = { type: "stored" };
const SENT = [LINES, PRESS, STORED];
const does = ({ effects }) => effects.map((effect) => effect.do);

check("a first line makes the basket ready and brings its key", () => {
  const { machine } = after(LINES);
  equal([machine.name, machine.key], ["ready", "first"]);
});

check("more lines keep the key, and an empty basket drops it", () => {
  equal(after(LINES, { type: "lines", lines: [HALEEM, FIRNI] }).machine.key, "first");
  equal(after(LINES, { type: "lines", lines: [] }).machine, EMPTY);
});

check("a press stores the record first and sends only when it is stored", () => {
  const pressed = after(LINES, PRESS);
  equal([pressed.machine.name, does(pressed)], ["sending", ["store"]]);
  equal(pressed.effects[0].record.body, '{"lines":[{"item_id":"1","quantity":2}]}');
  equal(after(...SENT).effects, [{ do: "post", key: "first", body: '{"lines":[{"item_id":"1","quantity":2}]}' }]);
});

check("a second press while the first is under way does nothing", () => {
  equal(does(after(LINES, PRESS, PRESS)), []);
  equal(does(after(...SENT, PRESS)), []);
});

check("signed out, a press asks to sign in and goes on afterwards", () => {
  const asked = after(LINES, { type: "press", isSignedIn: false });
  equal([asked.machine.name, asked.machine.lines, does(asked)], ["signin", [HALEEM], []]);
  equal(does(after(LINES, { type: "press", isSignedIn: false }, { type: "signed-in" })), ["store"]);
});

check("201 ends it: the record goes and the basket is empty", () => {
  const placed = after(...SENT, PLACED);
  equal([placed.machine.name, placed.machine.lines, does(placed)], ["accepted", [], ["forget", "follow"]]);
});

check("202 keeps the record with the order's id until a later stage is heard of", () => {
  const received = after(...SENT, RECEIVED);
  equal([received.machine.name, does(received)], ["received", ["store", "follow"]]);
  equal(received.effects[0].record.order_id, "order-1");
  equal(does(after(...SENT, RECEIVED, { type: "status", orderId: "order-1", version: 1, status: "PENDING" })), []);
  const verified = { type: "status", orderId: "order-1", version: 2, status: "STOCK_VERIFIED" };
  equal(does(after(...SENT, RECEIVED, verified)), ["forget"]);
});

check("a received order that is rejected gives its lines back", () => {
  const rejected = { type: "status", orderId: "order-1", version: 2, status: "REJECTED", reason: "OUT_OF_STOCK" };
  const { machine } = after(...SENT, RECEIVED, rejected);
  equal([machine.name, machine.lines, machine.problem.type], ["refused", [HALEEM], "/problems/out-of-stock"]);
});

check("while an order is not confirmed, the next basket gets no key and cannot be sent", () => {
  const another = after(...SENT, RECEIVED, { type: "lines", lines: [FIRNI] });
  equal([another.machine.name, another.machine.key], ["received", "first"]);
  equal(does(after(...SENT, RECEIVED, { type: "lines", lines: [FIRNI] }, PRESS)), []);
  const verified = { type: "status", orderId: "order-1", version: 2, status: "STOCK_VERIFIED", key: "second" };
  const ready = after(...SENT, RECEIVED, { type: "lines", lines: [FIRNI] }, verified).machine;
  equal([ready.name, ready.key, ready.lines], ["ready", "second", [FIRNI]]);
});

check("a refusal ends it, and the next press has a new key", () => {
  const refused = after(...SENT, SOLD_OUT);
  equal([refused.machine.name, refused.machine.lines, does(refused)], ["refused", [HALEEM], ["forget"]]);
  const again = after(...SENT, SOLD_OUT, { ...PRESS, key: "second" });
  equal([again.machine.key, does(again)], ["second", ["store"]]);
});

check("a kitchen that is paused or full is waited for, and the basket may be changed meanwhile", () => {
  for (const code of ["intake-paused", "kitchen-full"]) {
    const { machine } = after(...SENT, answer(503, { problem: problem(code), retryAfterS: 30 }));
    equal([machine.name, machine.why, machine.until, canChange(machine)], ["waiting", "busy", 31_000, true]);
  }
});

check("too busy made nothing: it waits at least as long as the server says, and may be changed", () => {
  const { machine } = after(...SENT, BUSY);
  equal([machine.name, machine.until, canChange(machine)], ["waiting", 4000, true]);
  const { machine: changed, effects } = after(...SENT, BUSY, { type: "change", key: "second" });
  equal([changed.name, changed.key, effects], ["ready", "second", [{ do: "forget" }]]);
});

check("the limit of one student has its own name", () => {
  equal(after(...SENT, answer(429, { problem: problem("limit-reached"), retryAfterS: 60 })).machine.why, "limit");
});

check("pauses grow to fifteen seconds and by chance to half as much again", () => {
  const tries = (n) => Array.from({ length: n }, () => [NO_ANSWER, { type: "try" }]).flat();
  const pause = (n, random) => after(...SENT, ...tries(n), { ...NO_ANSWER, random }).machine.until - LATER.now;
  equal([0, 1, 2, 3, 9].map((n) => pause(n, 0)), [2000, 4000, 8000, 15000, 15000]);
  equal(pause(0, 1), 3000);
});

check("an unknown outcome freezes the lines, also when a later try was too busy", () => {
  for (const unsure of [NO_ANSWER, answer(503, { problem: problem("unavailable") }), answer(500), answer(408)]) {
    const { machine } = after(...SENT, unsure, { type: "try" }, BUSY);
    equal([machine.name, isFrozen(machine), canChange(machine)], ["unsure", true, false]);
    equal(after(...SENT, unsure, { type: "lines", lines: [FIRNI] }).machine.lines, [HALEEM]);
  }
});

check("the same bytes go out again under the same key", () => {
  const first = after(...SENT).effects;
  for (const again of [{ type: "try" }, { type: "online" }, { type: "timer", now: 9000 }, { type: "visible", now: 9000 }]) {
    equal(after(...SENT, NO_ANSWER, again).effects, first);
  }
  equal(does(after(...SENT, NO_ANSWER, { type: "timer", now: 2999 })), []);
});

check("offline it is parked and sent once the network is back", () => {
  equal(after(LINES, PRESS, { ...STORED, isOnline: false }).machine.name, "parked");
  equal(after(...SENT, { ...NO_ANSWER, isOnline: false }).machine.name, "parked");
  const parked = [...SENT, NO_ANSWER, { type: "offline" }];
  equal(after(...parked).machine.name, "parked");
  equal(does(after(...parked, { type: "online" })), ["post"]);
  equal(does(after(...parked, { type: "online" }, { type: "online" })), []);
});

check("a session that is over keeps the record, one that only could not be renewed is tried again", () => {
  const over = after(...SENT, { ...answer(401), isSignedIn: false });
  equal([over.machine.name, isFrozen(over.machine), does(over)], ["signin", true, []]);
  equal(does(after(...SENT, { ...answer(401), isSignedIn: false }, { type: "signed-in" })), []);
  equal([after(...SENT, answer(401)).machine.name, after(...SENT, answer(401)).machine.why], ["waiting", "session"]);
});

check("nothing is sent for a student who is not signed in any more", () => {
  for (const again of [{ type: "try" }, { type: "online" }, { type: "timer", now: 9000 }]) {
    const asked = after(...SENT, NO_ANSWER, { ...again, isSignedIn: false });
    equal([asked.machine.name, isFrozen(asked.machine), does(asked)], ["signin", true, []]);
  }
  equal(does(after(LINES, PRESS, { ...STORED, isSignedIn: false })), []);
});

check("a fault of this page deletes the record and keeps the lines and the code", () => {
  const broken = after(...SENT, answer(422, { problem: problem("idempotency-key-reused"), requestId: "r1" }));
  equal([broken.machine.name, broken.machine.problem.request_id, does(broken)], ["broken", "r1", ["forget"]]);
  const again = after(...SENT, answer(400), { type: "back", key: "second" }).machine;
  equal([again.name, again.key, again.lines], ["ready", "second", [HALEEM]]);
});

check("cancelling an order of unknown outcome repeats it until there is something to cancel", () => {
  const doubtful = [...SENT, NO_ANSWER];
  ok(canCancel(after(...doubtful).machine), "it may be cancelled");
  equal(does(after(...doubtful, { type: "cancel" })), ["store"]);
  const cancelling = [...doubtful, { type: "cancel" }, STORED];
  equal(does(after(...cancelling)), ["post"]);
  equal(does(after(...cancelling, PLACED)), ["store", "cancel", "follow"]);
  equal(does(after(...cancelling, SOLD_OUT)), ["forget"]);
  const cancelled = { type: "status", orderId: "order-1", version: 3, status: "CANCELLED" };
  equal(does(after(...cancelling, PLACED, cancelled)), ["forget"]);
});

check("a reload goes on with what was stored", () => {
  const { record } = after(LINES, PRESS).effects[0];
  const loaded = after({ type: "load", record });
  equal([loaded.machine.name, loaded.machine.isDoubtful, loaded.machine.until], ["unsure", true, LATER.now]);
  equal(after({ type: "load", record }, { type: "timer" }).effects, after(...SENT).effects);
  const received = after({ type: "load", record: { ...record, order_id: "order-1" }, basket: { lines: [FIRNI], key: "k" } });
  equal([received.machine.name, received.machine.lines], ["received", [FIRNI]]);
});

check("a record of yesterday is not sent", () => {
  const { record } = after(LINES, PRESS).effects[0];
  const lapsed = after({ type: "load", record, now: LATER.now + LAPSES_AFTER_MS + 1 });
  equal([lapsed.machine.name, lapsed.machine.lines, does(lapsed)], ["lapsed", [HALEEM], ["forget"]]);
  const waited = after(...SENT, NO_ANSWER, { type: "try", now: LATER.now + LAPSES_AFTER_MS + 1 });
  equal([waited.machine.name, does(waited)], ["lapsed", ["forget"]]);
});

check("a stored basket comes back with its key", () => {
  const { machine } = after({ type: "load", record: null, basket: { lines: [HALEEM], key: "kept" } });
  equal([machine.name, machine.key], ["ready", "kept"]);
});

check("10,000 random walks keep what the button promises", () => {
  for (let seed = 1; seed <= 10_000; seed += 1) walk(seed);
});

/** Mulberry32: the same numbers for the same seed. */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function walk(seed) {
  const random = numbers(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const world = { machine: EMPTY, record: null, open: null, bodies: new Map(), ended: new Set(), now: 0, keys: 0 };
  for (let steps = 0; steps < 40; steps += 1) {
    world.now += Math.floor(random() * (random() < 0.01 ? LAPSES_AFTER_MS : 20_000));
    step(world, pick(possible(world)), random);
  }
}

function possible({ open, machine, record }) {
  const always = [LINES, { type: "lines", lines: [HALEEM, FIRNI] }, { type: "lines", lines: [] }, PRESS, { type: "try" }];
  const more = ["timer", "visible", "online", "offline", "change", "cancel", "back", "signed-in"];
  const status = (version, name) => ({ type: "status", orderId: "order-1", version, status: name });
  const heard = [status(2, "STOCK_VERIFIED"), status(2, "REJECTED"), status(3, "CANCELLED")];
  const stored = machine.name === "sending" && !machine.isStored ? [STORED, STORED, STORED] : [];
  const answers = [PLACED, RECEIVED, SOLD_OUT, BUSY, NO_ANSWER, answer(401), answer(400), answer(429), answer(503)];
  const reload = open ? [] : [{ type: "load", record, basket: null }];
  return [...always, ...more.map((type) => ({ type })), ...heard, ...stored, ...(open ? answers : []), ...reload];
}

function step(world, event, random) {
  if (event.type === "answer") world.open = null;
  const fresh = `key-${(world.keys += 1)}`;
  const flags = { now: world.now, random: random(), key: fresh, isOnline: random() < 0.8, isSignedIn: random() < 0.8 };
  const before = world.machine;
  const { machine, effects } = next(before, { ...event, ...flags, ...(event.type === "lines" ? { key: fresh } : {}) });
  const had = world.record;
  effects.forEach((effect) => apply(world, effect));
  ok(!(had && world.record && machine.key !== had.key), "no key is made while a record exists");
  ok(!isFrozen(before) || !isFrozen(machine) || sameLines(before, machine), "frozen lines do not change");
  ok(["sending", "parked", "unsure", "waiting"].includes(machine.name) ? machine.key : true, "a request has a key");
  world.machine = machine;
}

const sameLines = (one, other) => JSON.stringify(one.lines) === JSON.stringify(other.lines);

function apply(world, effect) {
  if (effect.do === "store") world.record = effect.record;
  if (effect.do === "forget") {
    world.ended.add(world.record?.key);
    world.record = null;
  }
  if (effect.do !== "post") return;
  const { key, body } = effect;
  ok(world.record?.key === key && world.record.body === body, "nothing is sent that was not stored");
  ok(world.open === null, "one request at a time");
  ok(!world.ended.has(key), "a final answer ends it");
  ok((world.bodies.get(key) ?? body) === body, "a key has one body");
  world.bodies.set(key, body);
  world.open = effect;
}
