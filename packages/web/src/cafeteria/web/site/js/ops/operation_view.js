/** What became of an operation, as a sign and a sentence. */

import { html } from "../../vendor/lit-html/lit-html.js";
import { countdown } from "../clock.js";
import { icon } from "../ui.js";
import { t, time } from "../words.js";
import { STOCK_REFUSALS, refusalText } from "./refusals.js";

const STATES = {
  sending: { sign: "spinner", look: "muted", added: "ops.op.sending", created: "ops.create.sending" },
  unsure: { sign: "clock", look: "is-warn", added: "ops.op.unsure", created: "ops.create.unsure" },
  done: { sign: "check", look: "is-good", added: "ops.op.done", created: "ops.create.done" },
  refused: { sign: "cross", look: "is-bad", added: null, created: "ops.create.refused" },
  lapsed: { sign: "warn", look: "is-bad", added: "ops.op.lapsed", created: "ops.create.lapsed" },
};

/** @typedef {import("./operations.js").Operation} Operation */

/** @param {Operation} op portions that are added */
export function operationNote(op) {
  const { sign, look, added } = STATES[op.state];
  return html`<p class="note ${look}">${icon(sign)}<span>${sentence(added, op)}</span></p>`;
}

/** @param {Operation} op a dish that is created */
export const creationText = (op) => sentence(STATES[op.state].created, op);

/** @param {Operation} op */
export const operationSign = (op) => STATES[op.state].sign;

/** Will nothing more happen, though it was not done? @param {Operation} op */
export const isOver = (op) => op.state === "refused" || op.state === "lapsed";

function sentence(key, op) {
  const refusal = op.state === "refused" ? refusalText(op, STOCK_REFUSALS) : "";
  if (!key) return refusal;
  const at = op.doneAt === null ? "" : time(op.doneAt, { seconds: true });
  return t(key, { n: op.quantity, dish: op.name, time: at, s: op.againAt ? countdown(op.againAt) : 0, refusal });
}
