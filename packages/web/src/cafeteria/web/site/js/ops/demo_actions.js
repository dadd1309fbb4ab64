/** What the demo's section does. Every answer has the whole state, as `GET /demo` has it. */

import { ask } from "../api.js";
import { announce, focusOn } from "../ui.js";
import { t } from "../words.js";
import { afterDemo, crowdRequest } from "./demo_model.js";
import { without } from "./part.js";
import { DEMO_REFUSALS, refusalOf, refusalText } from "./refusals.js";

const TIMEOUT_MS = 20_000; // a member that starts is waited for

/** @typedef {import("./part.js").Part} Part */

export const actions = {
  member,
  kitchenMode: (part, mode) => send(part, "kitchen-mode", mode, "/demo/kitchen", { method: "PUT", body: { mode } }),
  crowdDraft: (part, typed) => part.set({ draft: { ...part.state.draft, ...typed }, isWrong: false }),
  startCrowd,
  stopCrowd: (part) => send(part, "crowd", "stop", "/demo/crowd", { method: "DELETE" }),
};

const SPOKEN = {
  on: "ops.demo.did.on",
  off: "ops.demo.did.off",
  kill: "ops.demo.did.kill",
  freeze: "ops.demo.did.freeze",
  thaw: "ops.demo.did.thaw",
};

async function member(part, name, action) {
  const isDone = await send(part, name, action, `/demo/members/${name}/${action}`, { method: "POST" });
  if (isDone) announce(t(SPOKEN[action], { name }));
}

async function startCrowd(part) {
  const body = crowdRequest(part.state.draft);
  part.set({ isWrong: !body });
  if (!body) return focusOn('main [aria-invalid="true"]');
  if (part.state.busy.crowd) return undefined;
  const isDone = await send(part, "crowd", "start", "/demo/crowd", { method: "POST", body });
  if (isDone) announce(t("ops.crowd.started", { n: body.students }));
  return focusOn("#stop-crowd");
}

/** Sends one change; `subject` is a member's name, "kitchen-mode" or "crowd". @returns {Promise<boolean>} whether it was done */
async function send(part, subject, action, path, options) {
  part.set({ busy: { ...part.state.busy, [subject]: action }, refusals: without(part.state.refusals, subject) });
  const answer = await ask(path, { timeoutMs: TIMEOUT_MS, renew: false, ...options });
  part.set({ busy: without(part.state.busy, subject) });
  const isDone = answer.status >= 200 && answer.status < 300;
  if (isDone) part.update(afterDemo, { ...answer, status: 200 });
  else refuse(part, subject, answer);
  return isDone;
}

function refuse(part, subject, answer) {
  const refusal = refusalOf(answer);
  part.set({ refusals: { ...part.state.refusals, [subject]: refusal } });
  announce(refusalText(refusal, DEMO_REFUSALS), { urgent: true });
}
