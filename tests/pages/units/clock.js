/** The server's time on a device whose clock is wrong, and turns that follow each other. */

import { ago, countdown, every, hear, now } from "/js/clock.js";
import { check, equal, ok, until } from "/units/check.js";

const HOUR_MS = 3_600_000;
const aheadMs = () => now() - Date.now();
const near = (actual, expected) => ok(Math.abs(actual - expected) < 100, `${actual} is not about ${expected}`);
const serverSays = (ms) => hear(new Date(Date.now() + ms).toISOString());

check("what cannot be read changes nothing", () => {
  for (const unreadable of [null, undefined, "", "soon"]) hear(unreadable);
  near(aheadMs(), 0);
});

check("the first answer sets the clock, forwards or back", () => {
  serverSays(HOUR_MS);
  near(aheadMs(), HOUR_MS);
});

check("an answer that was under way for long does not set it back", () => {
  serverSays(HOUR_MS - 4_000);
  near(aheadMs(), HOUR_MS);
});

check("an answer that was faster sets it more exactly", () => {
  serverSays(HOUR_MS + 700);
  near(aheadMs(), HOUR_MS + 700);
});

check("a device whose clock was set is noticed", () => {
  serverSays(-HOUR_MS);
  near(aheadMs(), -HOUR_MS);
});

check("ages and countdowns are whole seconds, and never negative", () => {
  equal(ago(new Date(now() - 61_500).toISOString()), 61);
  equal(ago(new Date(now() + 9_000).toISOString()), 0);
  equal(countdown(now() + 2_500), 3);
  equal(countdown(now() - 1), 0);
});

check("turns begin at once, follow each other, and stop", async () => {
  let turns = 0;
  const stop = every(20, () => (turns += 1));
  equal(turns, 1);
  await until(() => turns >= 3);
  stop();
  const last = turns;
  await new Promise((resolve) => setTimeout(resolve, 80));
  equal(turns, last);
});

check("a turn that takes long is not overtaken", async () => {
  let running = 0;
  let most = 0;
  let turns = 0;
  const stop = every(5, async () => {
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setTimeout(resolve, 30));
    running -= 1;
    turns += 1;
  });
  await until(() => turns >= 3);
  stop();
  equal(most, 1);
});

check("a stop during a turn ends the turns", async () => {
  let turns = 0;
  let finish;
  const stop = every(5, () => ((turns += 1), new Promise((resolve) => (finish = resolve))));
  stop();
  finish();
  await new Promise((resolve) => setTimeout(resolve, 50));
  equal(turns, 1);
});
