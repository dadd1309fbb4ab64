/** The board of the hall: puts state, view and effects together. Everybody may read what it shows, so nobody signs in. */

import { ask } from "../api.js";
import { every, now } from "../clock.js";
import { announce, keepAwake, page } from "../ui.js";
import { speak, t } from "../words.js";
import { PAGE_MS, act, additions, initial, trustOf } from "./model.js";
import { boardView, headView } from "./view.js";

const EVERY_MS = 2_000;
const ANSWER_WITHIN_MS = 4_000;
const SPOKEN = 5; // numbers in one sentence
let etag = null;
let quietUntil = 0;

await speak("board");
const app = page({
  root: { header: document.getElementById("header"), main: document.getElementById("main") },
  init: initial(now()),
  act,
  view: (state, dispatch) => ({ header: headView(state), main: boardView(state, dispatch) }),
  changed,
});
keepAwake();
document.addEventListener("keydown", onKey);
every(EVERY_MS, round);
every(1_000, () => app.act({ type: "tick", now: now() }));
every(PAGE_MS, () => app.act({ type: "turn" }));

async function round() {
  const begun = performance.now();
  if (begun < quietUntil) return;
  const headers = etag ? { "If-None-Match": etag } : {};
  const answer = await ask("/v1/board", { headers, timeoutMs: ANSWER_WITHIN_MS });
  const ended = performance.now();
  const at = { now: now(), asOf: now() - (ended - begun) }; // the first answer may have set the clock
  if (answer.status === 200) {
    etag = answer.etag;
    app.act({ type: "board", board: answer.data, ...at });
  } else if (answer.status === 304) {
    app.act({ type: "unchanged", ...at });
  } else {
    quietUntil = ended + 1000 * (answer.retryAfterS ?? 0) - EVERY_MS;
    app.act({ type: "trouble", now: now() });
  }
}

function changed(state, before, event) {
  if (event.type === "board") speakAdditions(additions(before.board, state.board));
  const [is, was] = [state, before].map(trustOf);
  if (is === "stale" && was !== "stale") announce(t("board.stale"), { urgent: true });
}

function speakAdditions(numbers) {
  if (numbers.length === 0) return;
  const spoken = numbers.slice(0, SPOKEN).map((number) => [...number].join(" "));
  const more = numbers.length - spoken.length;
  announce(t(more ? "board.spoken.more" : "board.spoken.ready", { numbers: spoken.join(", "), n: more }));
}

/** Space stops the pages where there are several; on a control it has the control's own meaning. */
function onKey(event) {
  const isControl = event.target.closest("button, input, summary, a") !== null;
  if (event.key !== " " || isControl || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  app.act({ type: "pause" });
}
