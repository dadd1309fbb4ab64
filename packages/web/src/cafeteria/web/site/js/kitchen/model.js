/**
 * What the kitchen's pages know about tickets, as pure functions: a picture of one moment, and what a person reads in it.
 * All times are milliseconds of the server's clock.
 *
 * @typedef {{id: string, order_id: string, student_id: string, status: string, version: number,
 *   lines: {item_id: string, name: string | null, quantity: number}[], received_at: string, started_at: string | null,
 *   due_at: string | null, completed_at: string | null, collected_at: string | null}} Ticket
 * @typedef {{queued: number, in_kitchen: number, ready: number, stations: number | null}} Load
 * @typedef {{asOf: number, load: Load, tickets: Map<string, Ticket>, whole: Record<string, boolean>}} Picture
 *   `whole` holds the states whose list was read; true if the list was read to its end.
 */

export const BEHIND_AFTER_MS = 3_000;
export const LOST_AFTER_MS = 10_000;
export const WAITING_AFTER_MS = 10 * 60_000; // a meal that nobody has fetched for so long is marked

const COUNTED_AS = { QUEUED: "queued", IN_KITCHEN: "in_kitchen", READY: "ready" };
const ACTIONS = { QUEUED: "start", IN_KITCHEN: "ready", READY: "collect" };

/**
 * One picture of one round of answers. A ticket that moved during the round is in two lists: its later state counts.
 * @param {{asOf: number, load: Load, lists: Record<string, {items: Ticket[], next_cursor: string | null}>}} round
 *   `asOf` is the start of the round: nothing in the picture is older
 * @returns {Picture}
 */
export function pictureOf({ asOf, load, lists }) {
  const tickets = latest(Object.values(lists).flatMap((list) => list.items));
  const whole = Object.fromEntries(Object.entries(lists).map(([status, list]) => [status, list.next_cursor === null]));
  return { asOf, load, tickets, whole };
}

/**
 * The picture with the answers to this screen's own actions that came after it.
 * @param {Picture} picture
 * @param {{ticket: Ticket, at: number}[]} answers
 */
export function withAnswers(picture, answers) {
  const tickets = latest([...picture.tickets.values(), ...newer(answers, picture).map((answer) => answer.ticket)]);
  return { ...picture, tickets };
}

/** The answers that a picture does not contain yet. */
export function newer(answers, picture) {
  return answers.filter((answer) => answer.at >= picture.asOf);
}

/** Tickets that are not ready yet, oldest first: ids begin with the time of arrival. */
export function toCook(tickets, filter = "all") {
  const states = { all: ["QUEUED", "IN_KITCHEN"], waiting: ["QUEUED"], cooking: ["IN_KITCHEN"] }[filter];
  return [...tickets.values()].filter((ticket) => states.includes(ticket.status)).sort(byId);
}

/** Tickets to hand out, the one that is ready longest first. */
export function toHandOut(tickets) {
  const ready = [...tickets.values()].filter((ticket) => ticket.status === "READY");
  return ready.sort((one, other) => readySince(one) - readySince(other) || byId(one, other));
}

/**
 * Portions still to cook, by dish, the largest number first.
 * @returns {{itemId: string, name: string | null, portions: number, cooking: number}[]}
 */
export function totals(tickets) {
  const dishes = new Map();
  for (const ticket of toCook(tickets)) {
    for (const line of ticket.lines) addLine(dishes, line, ticket.status);
  }
  return [...dishes.values()].sort((one, other) => other.portions - one.portions || compare(one.itemId, other.itemId));
}

/**
 * How many tickets are in a state, and how many of them the picture does not show.
 * A list that was read to its end counts itself, so that the number fits the tickets beside it.
 */
export function count(picture, status) {
  const shown = [...picture.tickets.values()].filter((ticket) => ticket.status === status).length;
  const counted = picture.load[COUNTED_AS[status]];
  const all = picture.whole[status] ? shown : Math.max(counted, shown);
  return { all, beyond: status in picture.whole ? all - shown : 0 };
}

/** True if people start and finish tickets: only a kitchen that cooks by itself has a number of stations. */
export function isManual(picture) {
  return picture.load.stations === null;
}

/** The action that a person takes next, or null. Where the kitchen cooks by itself people only hand out. */
export function nextAction(ticket, manual) {
  const action = ACTIONS[ticket.status] ?? null;
  return manual || action === "collect" ? action : null;
}

/**
 * How far the picture can be trusted.
 * @param {Picture | null} picture
 * @param {string | null} trouble what the last round met: "away" if the kitchen refused because it cannot answer
 * @returns {"loading" | "live" | "behind" | "lost"}
 */
export function freshness(picture, trouble, now) {
  if (trouble === "away") return "lost";
  if (picture === null) return "loading";
  const age = now - picture.asOf;
  if (age > LOST_AFTER_MS) return "lost";
  return age > BEHIND_AFTER_MS ? "behind" : "live";
}

/** How long the student has waited, in ms; never negative. */
export function waited(ticket, now) {
  return Math.max(0, now - Date.parse(ticket.received_at));
}

/** How long the meal has waited for its student, in ms; never negative. */
export function waitedReady(ticket, now) {
  return Math.max(0, now - readySince(ticket));
}

/** @returns {"fresh" | "soon" | "late"} by the screen's own two thresholds in minutes */
export function level(waitedMs, { soonMin, lateMin }) {
  if (waitedMs >= lateMin * 60_000) return "late";
  return waitedMs >= soonMin * 60_000 ? "soon" : "fresh";
}

/** The part of cooking that is over, from 0 to 1; null where nobody knows when it ends. */
export function progress(ticket, now) {
  if (ticket.due_at === null || ticket.started_at === null) return null;
  const started = Date.parse(ticket.started_at);
  const length = Math.max(1, Date.parse(ticket.due_at) - started);
  return Math.min(1, Math.max(0, (now - started) / length));
}

/** How many tickets wait that were not in the picture before. */
export function arrivals(before, after) {
  if (before === null || !("QUEUED" in before.whole)) return 0;
  return toCook(after.tickets, "waiting").filter((ticket) => !before.tickets.has(ticket.id)).length;
}

/** "9:12", or "1:02:05" from an hour on. */
export function stopwatch(ms) {
  const total = Math.floor(ms / 1000);
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const tail = String(seconds).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

function latest(tickets) {
  const byTicket = new Map();
  for (const ticket of tickets) {
    const known = byTicket.get(ticket.id);
    if (known === undefined || known.version < ticket.version) byTicket.set(ticket.id, ticket);
  }
  return byTicket;
}

function addLine(dishes, line, status) {
  const dish = dishes.get(line.item_id) ?? { itemId: line.item_id, name: line.name, portions: 0, cooking: 0 };
  const cooking = status === "IN_KITCHEN" ? line.quantity : 0;
  dishes.set(line.item_id, { ...dish, portions: dish.portions + line.quantity, cooking: dish.cooking + cooking });
}

function readySince(ticket) {
  return Date.parse(ticket.completed_at ?? ticket.received_at);
}

function byId(one, other) {
  return compare(one.id, other.id);
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}
