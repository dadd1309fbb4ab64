/**
 * Presses of a button on their way to the kitchen, as pure functions over a list.
 *
 * A press is held for the undo window, then sent, and sent again until an answer says what became of it. A repeated
 * action changes nothing at the kitchen, so that repeating is safe. Times are milliseconds of one monotonic clock.
 *
 * @typedef {{ticketId: string, name: string, action: "start" | "ready" | "collect", phase: "held" | "sending" | "again",
 *   dueAt: number, tries: number, isOffline?: boolean}} Press
 *   `isOffline`: no answer came to the last try; otherwise the kitchen refused because it cannot answer now
 */

import { nameOfTicket } from "../short_code.js";

const LONGEST_PAUSE_S = 15;
const REFUSED = { 403: "forbidden", 404: "unknown", 409: "refused" };

/** Holds a press for `undoMs`; a ticket that has a press already keeps that one. */
export function hold(presses, { ticket, action, now, undoMs }) {
  if (pressOf(presses, ticket.id)) return presses;
  const press = { ticketId: ticket.id, name: nameOfTicket(ticket), action, phase: "held", dueAt: now + undoMs, tries: 0 };
  return [...presses, press];
}

/** Takes a press back. What may have reached the kitchen cannot be taken back: then nothing changes. */
export function undo(presses, ticketId) {
  return presses.filter((press) => press.ticketId !== ticketId || !canUndo(press));
}

/** True until the press has been sent for the first time. */
export function canUndo(press) {
  return press.phase === "held";
}

/** The press that an undo key takes back: the last one, or null. */
export function lastHeld(presses) {
  return presses.findLast(canUndo) ?? null;
}

/** The press of this ticket, or null. */
export function pressOf(presses, ticketId) {
  return presses.find((press) => press.ticketId === ticketId) ?? null;
}

/** The presses to send now. */
export function due(presses, now) {
  return presses.filter((press) => press.phase !== "sending" && press.dueAt <= now);
}

/** Milliseconds until the next press is to be sent, or null. */
export function nextDueIn(presses, now) {
  const waiting = presses.filter((press) => press.phase !== "sending");
  return waiting.length ? Math.max(0, Math.min(...waiting.map((press) => press.dueAt)) - now) : null;
}

/** Marks a press as sent. */
export function sending(presses, ticketId) {
  return change(presses, ticketId, (press) => ({ ...press, phase: "sending", tries: press.tries + 1 }));
}

/**
 * What an answer means for its press.
 * @param {{status: number, retryAfterS?: number | null}} answer status 0: none came
 * @returns {{presses: Press[], outcome: "done" | "again" | "refused" | "unknown" | "forbidden" | "broken"}}
 */
export function answered(presses, ticketId, answer, now) {
  const outcome = outcomeOf(answer.status);
  if (outcome !== "again") return { outcome, presses: presses.filter((press) => press.ticketId !== ticketId) };
  const wait = (press) => now + pauseMs(press.tries, answer.retryAfterS ?? 0);
  const later = (press) => ({ ...press, phase: "again", dueAt: wait(press), isOffline: answer.status === 0 });
  return { outcome, presses: change(presses, ticketId, later) };
}

/** Sends at once what waits for the network. */
export function hurry(presses, now) {
  return presses.map((press) => (press.phase === "again" ? { ...press, dueAt: now } : press));
}

function outcomeOf(status) {
  if (status >= 200 && status < 300) return "done";
  if (status === 0 || status === 401 || status === 429 || status >= 500) return "again";
  return REFUSED[status] ?? "broken";
}

function pauseMs(tries, retryAfterS) {
  return 1000 * Math.max(retryAfterS, Math.min(2 ** (tries - 1), LONGEST_PAUSE_S));
}

function change(presses, ticketId, next) {
  return presses.map((press) => (press.ticketId === ticketId ? next(press) : press));
}
