// What the hall's board shows, and when nobody should trust it.
import { check, equal } from "/units/check.js";
import { PAGE, act, additions, hall, initial, pageOf, sizeOf, trustOf } from "/js/board/model.js";
import { pictureOf } from "/js/kitchen/model.js";

const T0 = Date.parse("2026-03-01T18:00:00Z");
const LOAD = { queued: 0, in_kitchen: 0, ready: 0, stations: 50 };

function ticket(number, status, readyForS = 0) {
  const id = `0193a5e0-4c00-7000-8000-0000${String(number).padStart(4, "0")}0000`;
  const completed_at = status === "READY" ? new Date(T0 - readyForS * 1000).toISOString() : null;
  return { id, order_id: id, status, version: 4, lines: [], received_at: new Date(T0 - 3_600_000).toISOString(), completed_at };
}

function picture({ ready = [], cooking = [], load = {}, next = null }) {
  const lists = { IN_KITCHEN: { items: cooking, next_cursor: null }, READY: { items: ready, next_cursor: next } };
  return pictureOf({ asOf: T0, load: { ...LOAD, ...load }, lists });
}

const codes = (ready) => ready.map((meal) => meal.code);
const many = (count, status, first = 1) => Array.from({ length: count }, (_, number) => ticket(first + number, status, number));

check("the newest meals come first and are marked as new for 15 s", () => {
  const shown = hall(picture({ ready: [ticket(1, "READY", 60), ticket(2, "READY", 14), ticket(3, "READY", 15)] }), T0);
  equal(shown.ready.map(({ code, isNew }) => [code, isNew]), [["0002", true], ["0003", false], ["0001", false]]);
});

check("meals that have waited for ten minutes stand apart, the longest first", () => {
  const shown = hall(picture({ ready: [ticket(1, "READY", 700), ticket(2, "READY", 10), ticket(3, "READY", 600)] }), T0);
  equal([codes(shown.ready), shown.longer, shown.moreLonger], [["0002"], ["0001", "0003"], 0]);
});

check("what the lists leave out is counted", () => {
  const shown = hall(picture({ ready: many(3, "READY"), cooking: many(40, "IN_KITCHEN", 100), load: { ready: 150, queued: 38 }, next: "x" }), T0);
  equal([shown.moreLonger, shown.cooking.length, shown.moreCooking, shown.waiting], [147, 30, 10, 38]);
});

check("nothing but codes and counts leaves the model", () => {
  const shown = hall(picture({ ready: [ticket(1, "READY")], cooking: [ticket(2, "IN_KITCHEN")] }), T0);
  equal(Object.keys(shown).sort(), ["cooking", "longer", "moreCooking", "moreLonger", "ready", "waiting"]);
  equal(Object.keys(shown.ready[0]).sort(), ["code", "id", "isNew"]);
});

check("more than 24 meals are shown page by page, and the pages begin again", () => {
  const ready = hall(picture({ ready: many(60, "READY") }), T0).ready;
  const pages = [0, 1, 2, 3].map((page) => pageOf(ready, page));
  equal(pages.map(({ shown, current, pages: all }) => [shown.length, current, all]), [[PAGE, 1, 3], [PAGE, 2, 3], [12, 3, 3], [PAGE, 1, 3]]);
  equal(pageOf([], 5), { shown: [], current: 1, pages: 1 });
});

check("Space holds the pages", () => {
  equal(act(initial(T0), { type: "turn" }).page, 0, "the first page is not passed over before it is shown");
  const turned = act(act(initial(T0), { type: "picture", picture: picture({}), now: T0 }), { type: "turn" });
  equal(turned.page, 1);
  const paused = act(turned, { type: "pause" });
  equal(act(paused, { type: "turn" }).page, 1);
  equal(act(act(paused, { type: "pause" }), { type: "turn" }).page, 2);
});

check("few meals have large figures", () => {
  equal([8, 9, 15, 16].map((count) => sizeOf(many(count, "READY"))), ["few", "some", "some", "many"]);
});

check("the board is behind after 3 s or when the kitchen is away, and stale after 10 s", () => {
  const at = (ms, trouble = null) => trustOf({ picture: picture({}), trouble, now: T0 + ms });
  equal([at(0), at(3_001), at(10_000), at(10_001)], ["live", "behind", "behind", "stale"]);
  equal([at(0, "away"), at(0, "busy")], ["behind", "live"]);
  equal([trustOf({ picture: null, trouble: null, now: T0 }), trustOf({ picture: null, trouble: "away", now: T0 })], ["loading", "stale"]);
});

check("additions are the meals that became ready since the picture before", () => {
  const before = picture({ ready: [ticket(1, "READY")], cooking: [ticket(2, "IN_KITCHEN")] });
  equal(additions(before, picture({ ready: [ticket(1, "READY"), ticket(2, "READY")] })), ["0002"]);
  equal(additions(null, before), [], "the first picture announces nothing");
});
