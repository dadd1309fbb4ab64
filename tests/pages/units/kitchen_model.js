// What the kitchen's page knows of its tickets: one picture, its ages, counts and totals, and the keys.
import { check, equal, ok } from "/units/check.js";
import * as model from "/js/kitchen/model.js";
import { commandOf, moved } from "/js/kitchen/keys.js";
import { clean, DEFAULTS } from "/js/kitchen/settings.js";
import { act, actionOf, firstSection, freshness, initial, newest, sectionOf, shown } from "/js/kitchen/state.js";
import { shortCode, typedCode } from "/js/short_code.js";

const T0 = Date.parse("2026-03-01T18:00:00Z");
const MINUTE = 60_000;
const LOAD = { queued: 0, in_kitchen: 0, ready: 0, stations: null };
const VERSIONS = { QUEUED: 2, IN_KITCHEN: 3, READY: 4, COLLECTED: 5, CANCELLED: 3 };

function ticket(number, status = "QUEUED", more = {}) {
  const id = `0193a5e0-4c00-7000-8000-00000000${String(number).padStart(4, "0")}`;
  const lines = [{ item_id: "haleem", name: "Beef Haleem", quantity: 2 }];
  const times = { received_at: new Date(T0).toISOString(), started_at: null, due_at: null, completed_at: null, collected_at: null };
  return { id, order_id: id, student_id: "210041101", status, version: VERSIONS[status], lines, ...times, ...more };
}

function picture(lists, more = {}) {
  const read = Object.fromEntries(Object.entries(lists).map(([status, items]) => [status, { items, next_cursor: null }]));
  return model.pictureOf({ asOf: T0, load: LOAD, lists: read, ...more });
}

function stateWith(shownPicture, more = {}) {
  const base = initial({ now: T0, mono: 0, section: "line", isWide: true });
  return { ...act({ ...base, who: { student_id: "kitchen-1", role: "kitchen" } }, { type: "picture", picture: shownPicture, now: T0 }), ...more };
}

const ids = (tickets) => tickets.map((each) => each.id);

check("a ticket that moved while the lists were read is there once, in its later state", () => {
  const read = picture({ QUEUED: [ticket(1), ticket(2)], IN_KITCHEN: [ticket(1, "IN_KITCHEN")] });
  equal([...read.tickets.values()].map((each) => each.status), ["IN_KITCHEN", "QUEUED"]);
  equal(model.count(read, "QUEUED"), { all: 1, beyond: 0 });
});

check("tickets to cook are shown oldest first, and a filter leaves one state", () => {
  const read = picture({ QUEUED: [ticket(3), ticket(1)], IN_KITCHEN: [ticket(2, "IN_KITCHEN")] });
  equal(ids(model.toCook(read.tickets)), ids([ticket(1), ticket(2), ticket(3)]));
  equal(ids(model.toCook(read.tickets, "waiting")), ids([ticket(1), ticket(3)]));
  equal(ids(model.toCook(read.tickets, "cooking")), ids([ticket(2)]));
});

check("meals to hand out are shown by how long they are ready, not by when they were ordered", () => {
  const at = (minutes) => ({ completed_at: new Date(T0 + minutes * MINUTE).toISOString() });
  const read = picture({ READY: [ticket(1, "READY", at(9)), ticket(2, "READY", at(3))] });
  equal(ids(model.toHandOut(read.tickets)), ids([ticket(2), ticket(1)]));
  equal(model.waitedReady(ticket(2, "READY", at(3)), T0 + 13 * MINUTE), 10 * MINUTE);
});

check("totals count the portions of each dish, and how many of them are cooking", () => {
  const dates = [{ item_id: "dates", name: "Dates", quantity: 9 }, { item_id: "haleem", name: "Beef Haleem", quantity: 1 }];
  const read = picture({ QUEUED: [ticket(1), ticket(2)], IN_KITCHEN: [ticket(3, "IN_KITCHEN", { lines: dates })] });
  equal(model.totals(read.tickets), [
    { itemId: "dates", name: "Dates", portions: 9, cooking: 9 },
    { itemId: "haleem", name: "Beef Haleem", portions: 5, cooking: 1 },
  ]);
});

check("a list that was cut off counts by the load, and says how many are beyond it", () => {
  const cut = model.pictureOf({
    asOf: T0,
    load: { ...LOAD, queued: 300, in_kitchen: 7 },
    lists: { QUEUED: { items: [ticket(1), ticket(2)], next_cursor: "x" }, IN_KITCHEN: { items: [], next_cursor: null } },
  });
  equal(model.count(cut, "QUEUED"), { all: 300, beyond: 298 });
  equal(model.count(cut, "IN_KITCHEN"), { all: 0, beyond: 0 }, "a whole list is right, a load may be a second old");
  equal(model.count(cut, "READY"), { all: 0, beyond: 0 }, "a list that was not read hides nothing");
});

check("an answer to an own press counts until a picture that began after it", () => {
  const answer = { status: 200, data: ticket(1, "IN_KITCHEN"), at: T0 + 500 };
  const pressed = act(stateWith(picture({ QUEUED: [ticket(1)] })), { type: "answered", ticketId: ticket(1).id, answer, mono: 1 });
  equal(shown(pressed)[0].status, "IN_KITCHEN");
  const stale = act(pressed, { type: "picture", picture: picture({ QUEUED: [ticket(1)] }, { asOf: T0 + 400 }), now: T0 + 600 });
  equal(shown(stale)[0].status, "IN_KITCHEN", "a round that began before the answer is older");
  const fresh = act(stale, { type: "picture", picture: picture({ QUEUED: [] }, { asOf: T0 + 600 }), now: T0 + 700 });
  equal([shown(fresh).length, fresh.answers.length], [0, 0]);
});

check("the picture is live for 3 s, behind until 10 s, then lost; a kitchen that is away is lost at once", () => {
  const read = picture({});
  const at = (ms, trouble = null) => model.freshness(read, trouble, T0 + ms);
  equal([at(0), at(3_000), at(3_001), at(10_000), at(10_001)], ["live", "live", "behind", "behind", "lost"]);
  equal([at(0, "away"), at(0, "busy"), model.freshness(null, null, T0)], ["lost", "live", "loading"]);
  const away = act(stateWith(read), { type: "trouble", trouble: "away", now: T0 });
  equal(freshness(away), "lost");
  equal(freshness(act(away, { type: "picture", picture: read, now: T0 })), "live");
});

check("a ticket is SOON and LATE from its minute on, by the screen's own thresholds", () => {
  const level = (ms, settings = DEFAULTS) => model.level(ms, settings);
  equal([level(5 * MINUTE - 1), level(5 * MINUTE), level(8 * MINUTE - 1), level(8 * MINUTE)], ["fresh", "soon", "soon", "late"]);
  equal(level(2 * MINUTE, { soonMin: 1, lateMin: 2 }), "late");
});

check("ages are never negative and read like a stopwatch", () => {
  equal(model.waited(ticket(1), T0 - 5_000), 0);
  equal([0, 59_999, 552_000, 3_725_000].map(model.stopwatch), ["0:00", "0:59", "9:12", "1:02:05"]);
});

check("progress goes from the start to the time when the kitchen finishes by itself", () => {
  const at = (ms) => new Date(T0 + ms).toISOString();
  const cooking = ticket(1, "IN_KITCHEN", { started_at: at(0), due_at: at(4_000) });
  equal([-1, 0, 1_000, 9_000].map((ms) => model.progress(cooking, T0 + ms)), [0, 0, 0.25, 1]);
  equal(model.progress(ticket(1, "IN_KITCHEN", { started_at: at(0) }), T0), null);
});

check("a kitchen that cooks by itself offers no START and no READY", () => {
  const auto = { ...stateWith(picture({}, { load: { ...LOAD, stations: 50 } })) };
  equal(["QUEUED", "IN_KITCHEN", "READY", "COLLECTED"].map((status) => actionOf(auto, ticket(1, status))), [null, null, "collect", null]);
  const manual = stateWith(picture({}));
  equal(["QUEUED", "IN_KITCHEN", "READY", "CANCELLED"].map((status) => actionOf(manual, ticket(1, status))), ["start", "ready", "collect", null]);
});

check("an operator looks and does not press", () => {
  const looking = { ...stateWith(picture({})), who: { student_id: "operator-1", role: "operator" } };
  equal(actionOf(looking, ticket(1)), null);
});

check("arrivals are the waiting tickets that the picture before did not have", () => {
  const before = picture({ QUEUED: [ticket(1)] });
  equal(model.arrivals(before, picture({ QUEUED: [ticket(1), ticket(2), ticket(3)] })), 2);
  equal(model.arrivals(null, before), 0, "the first picture announces nothing");
  equal(model.arrivals(picture({ READY: [] }), before), 0, "nor does the first one of a section");
});

check("the chosen ticket keeps its place: when it leaves, the next one is chosen", () => {
  const three = stateWith(picture({ QUEUED: [ticket(1), ticket(2), ticket(3)] }));
  equal(three.chosen, { id: ticket(1).id, place: 0 });
  const second = act(three, { type: "choose", ticketId: ticket(2).id });
  const left = act(second, { type: "picture", picture: picture({ QUEUED: [ticket(1), ticket(3)] }), now: T0 });
  equal(left.chosen, { id: ticket(3).id, place: 1 });
  const last = act(left, { type: "picture", picture: picture({ QUEUED: [ticket(1)] }), now: T0 });
  equal(last.chosen, { id: ticket(1).id, place: 0 });
  equal(act(last, { type: "picture", picture: picture({ QUEUED: [] }), now: T0 }).chosen.id, null);
});

check("a ticket that was found shows the newest state that the screen knows", () => {
  const state = stateWith(picture({ READY: [ticket(1, "READY")] }), { section: "counter" });
  equal(newest(state, ticket(1, "IN_KITCHEN")).status, "READY");
  equal(newest(state, ticket(9, "COLLECTED")).status, "COLLECTED");
  const searched = act(act(state, { type: "searching", code: "0001" }), { type: "found", code: "0001", found: [ticket(1, "READY")] });
  const collected = act(searched, { type: "answered", ticketId: ticket(1).id, answer: { status: 200, data: ticket(1, "COLLECTED"), at: T0 }, mono: 0 });
  equal(collected.search.found[0].status, "COLLECTED");
});

check("the answer to an older search changes nothing", () => {
  const state = act(act(stateWith(picture({})), { type: "searching", code: "AAAA" }), { type: "searching", code: "BBBB" });
  equal(act(state, { type: "found", code: "AAAA", found: [ticket(1)] }).search, { phase: "searching", code: "BBBB", found: [] });
});

check("a phone begins at the counter, a large screen at the line, and an address names its section", () => {
  equal([firstSection("", false), firstSection("", true), firstSection("#counter", true), firstSection("#x", true)], ["counter", "line", "counter", "line"]);
});

check("an address that names no section keeps the one that is shown", () => {
  const counter = stateWith(picture({}), { section: "counter" });
  equal(act(counter, { type: "section", section: sectionOf("#main") }).section, "counter");
  equal(act(counter, { type: "section", section: sectionOf("#line") }).section, "line");
});

check("the code is taken from the random end of the id, and what a person types is understood", () => {
  equal(shortCode("0193a5e0-4c00-7abc-8def-0123456789ab"), "4567");
  equal(shortCode("0193a5e0-4c00-7abc-8def-0123a7f289ab"), "A7F2");
  equal([" a7 f2 ", "A7-F2", "৪৫৬৭", "O1lI"].map(typedCode), ["A7F2", "A7F2", "4567", "0111"]);
});

check("keys choose, press, move, undo and find", () => {
  const key = (name, more = {}) => commandOf({ key: name, onControl: false, ...more }, DEFAULTS);
  equal(key("3"), { type: "choose", place: 2, presses: false });
  equal([key("s"), key("R"), key("c")].map((command) => command.action), ["start", "ready", "collect"]);
  equal([key("Enter"), key("u"), key("/")].map((command) => command.type), ["press", "undo", "find"]);
  equal(key("Enter", { onControl: true }), null, "a button has its own Enter");
  equal([key("0"), key("x"), key("s", { ctrlKey: true })], [null, null, null]);
});

check("with keys off only those work that a screen reader's user needs", () => {
  const off = { ...DEFAULTS, keys: false };
  const key = (name) => commandOf({ key: name, onControl: false }, off);
  equal([key("s"), key("1"), key("u"), key("/")], [null, null, null, null]);
  equal([key("Enter").type, key("ArrowDown").type], ["press", "move"]);
});

check("arrows stay inside the tickets", () => {
  const grid = { count: 7, columns: 4 };
  equal(["ArrowRight", "ArrowDown", "Home", "End"].map((move) => moved(1, move, grid)), [2, 5, 0, 6]);
  equal([moved(0, "ArrowLeft", grid), moved(6, "ArrowRight", grid), moved(5, "ArrowDown", grid), moved(2, "ArrowUp", grid)], [0, 6, 5, 2]);
});

check("settings are whole numbers within their bounds, and LATE is never before SOON", () => {
  equal(clean({}), DEFAULTS);
  equal([DEFAULTS.soonMin, DEFAULTS.lateMin, DEFAULTS.undoS], [5, 8, 4]);
  equal(clean({ soonMin: 9, lateMin: 3, undoS: 99, keys: false, digitPresses: true }), { soonMin: 9, lateMin: 9, undoS: 10, keys: false, digitPresses: true });
  equal(clean({ soonMin: "x", lateMin: NaN, undoS: -1 }), { ...DEFAULTS, undoS: 0 });
  ok(clean({ soonMin: 2.6 }).soonMin === 3);
});
