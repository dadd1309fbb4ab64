/** What screen readers hear of the kitchen, and the title of the page. One event is announced once. */

import { nameOfTicket } from "../short_code.js";
import { announce } from "../ui.js";
import { t } from "../words.js";
import * as model from "./model.js";
import { standingText } from "./counter_view.js";
import { pressOf } from "./pending.js";
import { pressText } from "./ticket_parts.js";
import { freshness } from "./state.js";

const ARRIVALS_EVERY_MS = 10_000; // in a rush somebody who listens would hear nothing else

/** @returns {(state: object, before: object, event: object) => void} to call after every event */
export function announcer() {
  let arrived = 0;
  let lastAt = -ARRIVALS_EVERY_MS;

  function arrivals(state, before) {
    arrived += model.arrivals(before.picture, state.picture);
    if (arrived === 0 || state.section !== "line" || performance.now() - lastAt < ARRIVALS_EVERY_MS) return;
    announce(t("kitchen.spoken.arrivals", { n: arrived }));
    arrived = 0;
    lastAt = performance.now();
  }

  return (state, before, event) => {
    document.title = titleOf(state);
    trust(freshness(state), freshness(before));
    if (event.type === "picture") arrivals(state, before);
    SENTENCES[event.type]?.(state, before, event);
  };
}

const SENTENCES = {
  press(state, before, { ticket }) {
    const press = pressOf(state.presses, ticket.id);
    if (press !== pressOf(before.presses, ticket.id)) announce(`${spelled(nameOfTicket(ticket))}. ${pressText(press, state.mono)}.`);
  },
  undo(state, before, { ticketId }) {
    const press = pressOf(before.presses, ticketId);
    if (press && state.presses.length < before.presses.length) announce(t("kitchen.spoken.undone", { code: spelled(press.name) }));
  },
  note: (state, before, { note }) => announce(t(note.key, note.values)),
  found(state) {
    const { code, found } = state.search;
    if (found.length === 0) announce(t("kitchen.find.none", { code }));
    if (found.length === 1) announce(standingText(found[0], Math.floor(model.waitedReady(found[0], state.now) / 60_000)));
    if (found.length > 1) announce(t("kitchen.find.several", { code, n: found.length }));
  },
  searchFailed: (state) => announce(t(state.search.phase === "short" ? "kitchen.find.short" : "kitchen.find.failed", { code: state.search.code })),
};

function trust(is, was) {
  if (is === "lost" && was !== "lost") announce(t("kitchen.spoken.lost"), { urgent: true });
  if (is === "live" && was === "lost") announce(t("kitchen.spoken.live"));
}

function titleOf(state) {
  const name = t("kitchen.title");
  if (freshness(state) === "lost") return `${t("kitchen.lost.title")} · ${name}`;
  return state.picture ? `${t("kitchen.count.waiting", { n: model.count(state.picture, "QUEUED").all })} · ${name}` : name;
}

/** A number digit by digit. */
function spelled(name) {
  return [...name].join(" ");
}
