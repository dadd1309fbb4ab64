/** Carries out the commands of the keyboard while the focus is inside the tickets. */

import { focusOn } from "../ui.js";
import { commandOf, moved } from "./keys.js";
import { lastHeld } from "./pending.js";
import { actionOf, shown } from "./state.js";

/** @param {{act: (event: object) => void, state: object}} app */
export function listenToKeys(app) {
  document.addEventListener("keydown", (event) => onKey(app, event));
  document.addEventListener("focusin", (event) => {
    const ticketId = event.target.closest("#tickets [data-ticket]")?.dataset.ticket;
    if (ticketId && ticketId !== app.state.chosen.id) app.act({ type: "choose", ticketId });
  });
}

/** Keeps the focus inside the tickets when the one that had it has left. */
export function followChosen(state, before) {
  const isInside = document.activeElement?.closest("#tickets") != null;
  if (isInside && state.chosen.id !== before.chosen.id) focusOn(selectorOf(state.chosen.id));
}

function onKey(app, event) {
  const grid = event.target.closest?.("#tickets");
  if (!grid) return;
  const { key, ctrlKey, altKey, metaKey } = event;
  const onControl = event.target.closest("button, input, a") !== null;
  const command = commandOf({ key, ctrlKey, altKey, metaKey, onControl }, app.state.settings);
  if (command === null) return;
  event.preventDefault();
  COMMANDS[command.type](app, command, grid);
}

const COMMANDS = {
  choose(app, { place, presses }) {
    const ticket = shown(app.state)[place];
    if (!ticket) return;
    choose(app, ticket);
    if (presses) press(app, ticket, null);
  },
  move(app, { move }, grid) {
    const tickets = shown(app.state);
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const ticket = tickets[moved(app.state.chosen.place, move, { count: tickets.length, columns })];
    if (ticket) choose(app, ticket);
  },
  press(app, { action }) {
    const ticket = app.state.tickets.get(app.state.chosen.id);
    if (ticket) press(app, ticket, action);
  },
  undo(app) {
    const last = lastHeld(app.state.presses);
    if (last) app.act({ type: "undo", ticketId: last.ticketId });
  },
  find() {
    location.hash = "#counter";
    setTimeout(() => focusOn("#k-code")); // the section changes with the hash, a moment later
  },
};

function choose(app, ticket) {
  app.act({ type: "choose", ticketId: ticket.id });
  focusOn(selectorOf(ticket.id));
}

function press(app, ticket, wanted) {
  const action = actionOf(app.state, ticket);
  if (action !== null && (wanted === null || wanted === action)) app.act({ type: "press", ticket, action, mono: performance.now() });
}

function selectorOf(ticketId) {
  return ticketId === null ? "#tickets" : `#ticket-${CSS.escape(ticketId)}`;
}
