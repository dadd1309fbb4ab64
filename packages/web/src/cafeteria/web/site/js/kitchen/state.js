/**
 * The state of the kitchen page and how each event changes it: pure, so that every state can be shown in a test.
 *
 * `now` is the server's time; `mono` is a clock of this device that nobody can set: the undo window is counted by it.
 */

import * as model from "./model.js";
import * as pending from "./pending.js";
import { DEFAULTS } from "./settings.js";

const SECTIONS = ["line", "counter", "settings"];
const NOTES = 3; // older ones make room

const NO_SEARCH = Object.freeze({ phase: "idle", code: "", found: [] });

/** @param {{now: number, mono: number, section: string, isWide: boolean}} at */
export function initial({ now, mono, section, isWide }) {
  return {
    now,
    mono,
    section,
    isWide,
    who: undefined, // not known yet; null: nobody
    settings: DEFAULTS,
    filter: "all",
    picture: null,
    tickets: new Map(), // of the picture and the answers after it
    answers: [],
    trouble: null,
    presses: [],
    notes: [],
    chosen: { id: null, place: 0 },
    search: NO_SEARCH,
  };
}

/** The section that an address names, or null: the way past the header leads to "#main". */
export function sectionOf(hash) {
  return SECTIONS.find((section) => hash === `#${section}`) ?? null;
}

/** A phone begins at the counter, a large screen at the line. */
export function firstSection(hash, isWide) {
  return sectionOf(hash) ?? (isWide ? "line" : "counter");
}

/** The next state. An event that means nothing changes nothing. */
export function act(state, event) {
  const next = CHANGES[event.type];
  return next ? rechosen(next(state, event)) : state;
}

/** The tickets that the section shows, in their order. */
export function shown(state) {
  return state.section === "counter" ? model.toHandOut(state.tickets) : model.toCook(state.tickets, state.filter);
}

/** The newest state of a ticket that this screen knows. */
export function newest(state, ticket) {
  const known = state.tickets.get(ticket.id);
  return known && known.version > ticket.version ? known : ticket;
}

/** What a press of this ticket's button does: null where this person, or anybody, has none to make. */
export function actionOf(state, ticket) {
  const mayPress = state.who?.role === "kitchen" && state.picture !== null;
  return mayPress ? model.nextAction(ticket, model.isManual(state.picture)) : null;
}

export function freshness(state) {
  return model.freshness(state.picture, state.trouble, state.now);
}

const CHANGES = {
  tick: (state, { now, mono }) => ({ ...state, now, mono }),
  who: (state, { who }) => ({ ...state, who, trouble: who === state.who ? state.trouble : null }),
  section: (state, { section }) => (section === null ? state : { ...state, section }),
  wide: (state, { isWide }) => ({ ...state, isWide }),
  filter: (state, { filter }) => ({ ...state, filter }),
  settings: (state, { settings }) => ({ ...state, settings }),
  picture: (state, { picture, now }) => {
    const answers = model.newer(state.answers, picture);
    return { ...state, picture, now, trouble: null, answers, tickets: model.withAnswers(picture, answers).tickets };
  },
  trouble: (state, { trouble, now }) => ({ ...state, trouble, now }),
  choose: (state, { ticketId }) => ({ ...state, chosen: { ...state.chosen, id: ticketId } }),
  press: (state, { ticket, action, mono }) => {
    const held = { ticket, action, now: mono, undoMs: state.settings.undoS * 1000 };
    return { ...state, mono, presses: pending.hold(state.presses, held) };
  },
  undo: (state, { ticketId }) => ({ ...state, presses: pending.undo(state.presses, ticketId) }),
  sending: (state, { ticketId }) => ({ ...state, presses: pending.sending(state.presses, ticketId) }),
  hurry: (state, { mono }) => ({ ...state, mono, presses: pending.hurry(state.presses, mono) }),
  answered: (state, { ticketId, answer, mono }) => {
    const { presses, outcome } = pending.answered(state.presses, ticketId, answer, mono);
    return outcome === "done" ? { ...withAnswer(state, answer), mono, presses } : { ...state, mono, presses };
  },
  note: (state, { note }) => ({ ...state, notes: [...state.notes, note].slice(-NOTES) }),
  dismiss: (state, { note }) => ({ ...state, notes: state.notes.filter((other) => other !== note) }),
  searching: (state, { code }) => ({ ...state, search: { phase: "searching", code, found: [] } }),
  found: (state, { code, found }) => (code === state.search.code ? { ...state, search: { phase: "done", code, found } } : state),
  searchFailed: (state, { code, phase }) => (code === state.search.code ? { ...state, search: { phase, code, found: [] } } : state),
};

function withAnswer(state, answer) {
  const ticket = answer.data;
  const answers = [...state.answers, { ticket, at: answer.at }];
  const found = state.search.found.map((other) => (other.id === ticket.id ? ticket : other));
  return { ...state, answers, search: { ...state.search, found }, tickets: model.withAnswers(state.picture, answers).tickets };
}

/** A chosen ticket that has left makes room for the one in its place, so that keys go on where they were. */
function rechosen(state) {
  const ids = shown(state).map((ticket) => ticket.id);
  const place = ids.indexOf(state.chosen.id);
  if (place === state.chosen.place || (ids.length === 0 && state.chosen.id === null)) return state;
  const kept = place >= 0 ? place : Math.max(0, Math.min(state.chosen.place, ids.length - 1));
  const id = ids[kept] ?? null;
  return id === state.chosen.id && kept === state.chosen.place ? state : { ...state, chosen: { id, place: kept } };
}
