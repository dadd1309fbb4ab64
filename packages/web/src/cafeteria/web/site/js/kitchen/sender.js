/**
 * Sends presses when their undo window is over, and says what became of those that the kitchen refused.
 *
 * Presses that were not answered are kept in the browser under the name of this tab. A reload does not send them: it
 * says that they were not sent, because nobody may be standing at the screen any more.
 */

import * as store from "../store.js";
import { due, nextDueIn } from "./pending.js";
import { search, take } from "./tickets.js";

const NOTES = {
  QUEUED: "kitchen.note.by_itself",
  IN_KITCHEN: "kitchen.note.cooking",
  READY: "kitchen.note.ready",
  COLLECTED: "kitchen.note.collected",
  CANCELLED: "kitchen.note.cancelled",
};

/** @param {{act: (event: object) => void, state: object}} app */
export function makeSender(app) {
  let timer = 0;

  function plan() {
    clearTimeout(timer);
    const wait = nextDueIn(app.state.presses, performance.now());
    if (wait !== null) timer = setTimeout(sendDue, wait);
  }

  function sendDue() {
    for (const press of due(app.state.presses, performance.now())) send(press);
    plan();
  }

  async function send(press) {
    app.act({ type: "sending", ticketId: press.ticketId });
    const answer = await take(press.ticketId, press.action);
    app.act({ type: "answered", ticketId: press.ticketId, answer, mono: performance.now() });
    if (answer.status >= 400 && answer.status < 500) await explain(press, answer);
  }

  async function explain(press, answer) {
    if (app.state.presses.some((other) => other.ticketId === press.ticketId)) return; // it is sent again
    const note = await noteOf(press, answer);
    app.act({ type: "note", note });
  }

  window.addEventListener("online", () => app.act({ type: "hurry", mono: performance.now() }));
  return { plan };
}

/** Keeps the presses that have no answer yet. */
export function keep(presses) {
  const kept = presses.map(({ ticketId, name, action, phase }) => ({ ticketId, name, action, phase }));
  return presses.length ? store.put(keptUnder(), kept) : store.del(keptUnder());
}

/** Notes about the presses that a reload of this tab left behind; they are forgotten by this. */
export async function leftBehind() {
  const presses = (await store.get(keptUnder())) ?? [];
  await store.del(keptUnder());
  return presses.map((press) => ({
    key: press.phase === "held" ? "kitchen.note.unsent" : "kitchen.note.unsure",
    values: { code: press.name },
  }));
}

async function noteOf(press, answer) {
  const code = press.name;
  if (answer.status === 403) return { key: "kitchen.note.forbidden", values: { code } };
  if (answer.status !== 409) return { key: "kitchen.note.broken", values: { code, id: answer.requestId ?? "" } };
  const { found = [] } = await search((ticket) => ticket.id === press.ticketId);
  return { key: NOTES[found[0]?.status] ?? "kitchen.note.refused", values: { code } };
}

function keptUnder() {
  window.name ||= `screen-${String(Math.random()).slice(2)}`; // survives a reload, and other tabs have others
  return `kitchen/presses/${window.name}`;
}
