// What the hall's board shows, and when nobody should trust it.
import { check, equal } from "/units/check.js";
import { PAGE, act, additions, hall, initial, pageOf, sizeOf, trustOf } from "/js/board/model.js";

const T0 = Date.parse("2026-03-01T18:00:00Z");

const meal = (number, readyForS = 0) => ({ number, since: new Date(T0 - readyForS * 1000).toISOString() });
const board = (content) => ({ is_open: true, reopens_at: null, ready: [], cooking: [], waiting: 0, ...content });
const numbers = (ready) => ready.map(({ number }) => number);
const many = (count) => Array.from({ length: count }, (_, number) => meal(number + 1, number));

check("the newest meals come first and are marked as new for 15 s; numbers have three digits", () => {
  const shown = hall(board({ ready: [meal(2, 14), meal(31, 15), meal(417, 60)] }), T0);
  equal(shown.ready, [{ number: "002", isNew: true }, { number: "031", isNew: false }, { number: "417", isNew: false }]);
});

check("meals that have waited for more than ten minutes stand apart, the longest first", () => {
  const shown = hall(board({ ready: [meal(2, 600), meal(3, 601), meal(1, 700)] }), T0);
  equal([numbers(shown.ready), shown.longer, shown.moreLonger], [["002"], ["001", "003"], 0]);
});

check("what has no room is counted", () => {
  const late = Array.from({ length: 20 }, (_, number) => meal(number, 1_000));
  const shown = hall(board({ ready: late, cooking: Array.from({ length: 40 }, (_, number) => number), waiting: 38 }), T0);
  equal([shown.longer.length, shown.moreLonger, shown.cooking.length, shown.moreCooking, shown.waiting], [12, 8, 30, 10, 38]);
});

check("more than 24 meals are shown page by page, and the pages begin again", () => {
  const ready = hall(board({ ready: many(60) }), T0).ready;
  const pages = [0, 1, 2, 3].map((page) => pageOf(ready, page));
  equal(pages.map(({ shown, current, pages: all }) => [shown.length, current, all]), [[PAGE, 1, 3], [PAGE, 2, 3], [12, 3, 3], [PAGE, 1, 3]]);
  equal(pageOf([], 5), { shown: [], current: 1, pages: 1 });
});

check("Space holds the pages", () => {
  equal(act(initial(T0), { type: "turn" }).page, 0, "the first page is not passed over before it is shown");
  const turned = act(act(initial(T0), { type: "board", board: board(), asOf: T0, now: T0 }), { type: "turn" });
  equal(turned.page, 1);
  const paused = act(turned, { type: "pause" });
  equal(act(paused, { type: "turn" }).page, 1);
  equal(act(act(paused, { type: "pause" }), { type: "turn" }).page, 2);
});

check("few meals have large figures", () => {
  equal([8, 9, 15, 16].map((count) => sizeOf(many(count))), ["few", "some", "some", "many"]);
});

check("the board is behind after 5 s or an answer that failed, and stale after 10 s", () => {
  const at = (ms, isTroubled = false) => trustOf({ board: board(), asOf: T0, isTroubled, now: T0 + ms });
  equal([at(0), at(5_001), at(10_000), at(10_001)], ["live", "behind", "behind", "stale"]);
  equal(at(0, true), "behind");
  equal([trustOf(initial(T0)), trustOf(act(initial(T0), { type: "trouble", now: T0 }))], ["loading", "stale"]);
});

check("an answer that nothing has changed makes an old board live again", () => {
  const begun = act(initial(T0), { type: "board", board: board({ waiting: 3 }), asOf: T0, now: T0 });
  const old = act(begun, { type: "trouble", now: T0 + 11_000 });
  const again = act(old, { type: "unchanged", asOf: T0 + 12_000, now: T0 + 12_000 });
  equal([trustOf(old), trustOf(again), again.board.waiting], ["stale", "live", 3]);
});

check("additions are the meals that became ready since the board before, also under a number that was there", () => {
  const before = board({ ready: [meal(1, 90), meal(2, 95)] });
  equal(additions(before, board({ ready: [meal(2, 1), meal(3, 2), meal(1, 90)] })), ["002", "003"]);
  equal(additions(null, before), [], "the first board announces nothing");
});
