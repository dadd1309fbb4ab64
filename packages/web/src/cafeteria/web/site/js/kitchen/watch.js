/**
 * Reads a picture of the tickets again and again while somebody can see the page.
 * Every list is bounded; what lies beyond is counted, never hidden.
 */

import { ask } from "../api.js";
import { every, now } from "../clock.js";
import { pictureOf } from "./model.js";

/** Tickets read of each state: more than a screen shows, together about 70 kB. */
export const SHOWN = Object.freeze({ QUEUED: 60, IN_KITCHEN: 100, READY: 100 });

const ANSWER_WITHIN_MS = 4_000;
const SIGNED_OUT_PAUSE_MS = 5_000; // identity may be away: each round would ask it for a new session

/**
 * @param {{act: (event: object) => void, state: {who: object | null | undefined}}} app takes the events `picture` and `trouble`
 * @param {{everyMs: number, lists: () => string[]}} options `lists`: the states whose tickets are read
 */
export function makeWatch(app, { everyMs, lists }) {
  let stop = () => {};
  let quietUntil = 0;
  let latest = 0;

  async function round() {
    if (performance.now() < quietUntil) return;
    const mine = latest;
    const result = await readPicture(lists());
    if (mine !== latest) return; // another person, or another section, has begun its own rounds
    app.act({ ...result, type: result.picture ? "picture" : "trouble", now: now() });
    if (result.trouble) quietUntil = performance.now() + pauseMs(result, everyMs);
  }

  return {
    /** Starts at once with another person or other lists; students and strangers may not look. */
    restart() {
      stop();
      latest += 1;
      quietUntil = 0;
      const { who } = app.state;
      stop = who && who.role !== "student" ? every(everyMs, round) : () => {};
    },
  };
}

/**
 * What an answer that is no success means for the page.
 * @param {import("../api.js").Answer} answer
 * @returns {{trouble: "away" | "silent" | "signed-out" | "forbidden" | "busy", retryAfterS: number}}
 */
export function troubleOf(answer) {
  const isAway = answer.status === 503 && answer.problem?.type === "/problems/unavailable";
  const named = { 0: "silent", 401: "signed-out", 403: "forbidden" }[answer.status] ?? "busy";
  return { trouble: isAway ? "away" : named, retryAfterS: answer.retryAfterS ?? 0 };
}

/** Reads one list after another, in the order of cooking: a ticket that moves meanwhile is seen twice, not missed. */
async function readPicture(statuses) {
  const asOf = now();
  const load = await ask("/v1/load", { timeoutMs: ANSWER_WITHIN_MS });
  if (load.status !== 200) return troubleOf(load);
  const lists = {};
  for (const status of statuses) {
    const path = `/v1/tickets?status=${status}&limit=${SHOWN[status]}`;
    const answer = await ask(path, { timeoutMs: ANSWER_WITHIN_MS });
    if (answer.status !== 200) return troubleOf(answer);
    lists[status] = answer.data;
  }
  return { picture: pictureOf({ asOf, load: load.data, lists }) };
}

function pauseMs({ trouble, retryAfterS }, everyMs) {
  return trouble === "signed-out" ? SIGNED_OUT_PAUSE_MS : 1000 * retryAfterS - everyMs;
}
