/** Keeps at what may happen once only, over lost answers and reloads of the page. */

import { ask } from "../api.js";
import { now } from "../clock.js";
import { get, put } from "../store.js";
import { announce } from "../ui.js";
import { t } from "../words.js";
import { answered, due, replaced, resumed, sending, worthStoring } from "./operations.js";
import { resumedPlan, withItem } from "./stock_model.js";

/** One try of each operation. All are on the disk before the first is sent, so that a reload finds them. */
export async function run(part, operations) {
  if (!operations.length) return;
  const tries = operations.map(sending);
  tries.forEach((op) => replace(part, op));
  await keep(part);
  await Promise.all(tries.map((op) => tryOnce(part, op)));
  await keep(part);
}

/** What is due is asked again: by itself, or all of it because the operator wants it now. */
export const retry = (part) => run(part, due(part.state.operations, now()));
export const retryNow = (part) => run(part, due(part.state.operations, Infinity));

/** After the page was opened: what was asked for before and has no answer is asked again, under its own key. */
export async function resume(part) {
  const stored = (await get(storeKey(part)).catch(() => null)) ?? [];
  const operations = resumed(stored, now());
  const plan = resumedPlan(operations);
  part.set({ operations, plan, ...(plan.batch ? { mode: "plan" } : {}) });
}

/** Keeps what is open on the disk; without a disk it lives as long as the page. */
export const keep = (part) => put(storeKey(part), worthStoring(part.state.operations)).catch(() => {});

const storeKey = ({ page }) => `ops-operations/${page.who?.student_id ?? ""}`;

async function tryOnce(part, op) {
  const answer = await ask(op.path, { method: "POST", body: op.body, key: op.key });
  const after = answered(op, answer, now());
  replace(part, after);
  if (after.state === "done") part.update(withItem, answer.data);
  speakOf(after);
}

const replace = (part, op) => part.set({ operations: replaced(part.state.operations, op) });

const SPOKEN = { done: "ops.op.done.spoken", unsure: "ops.op.unsure.spoken", refused: "ops.op.refused.spoken" };

/** Rows of a batch are not said one by one: the table's summary is. */
function speakOf(op) {
  if (op.batch === op.key) announce(t(SPOKEN[op.state], { dish: op.name, n: op.quantity }), { urgent: op.state === "refused" });
}
