/** The counter: hand out by the code that the student shows, or from the list of what is ready. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { nameOfTicket } from "../short_code.js";
import { icon } from "../ui.js";
import { t, time } from "../words.js";
import * as model from "./model.js";
import { SHOWN } from "./watch.js";
import { actionView, linesView, modeView } from "./ticket_parts.js";
import { actionOf, freshness, newest, shown } from "./state.js";

const STANDING = {
  QUEUED: "kitchen.standing.queued",
  IN_KITCHEN: "kitchen.standing.cooking",
  READY: "kitchen.standing.ready",
  COLLECTED: "kitchen.standing.collected",
  CANCELLED: "kitchen.standing.cancelled",
};

/** @param {ReturnType<import("./state.js").initial>} state */
export function counterView(state, act, onFind) {
  return html`<div class="k-counter">
    <section class="stack" aria-labelledby="k-title">
      ${formView(onFind)}
      <div id="found" class="stack">${foundView(state, act)}</div>
    </section>
    <section class="k-board ${freshness(state)}" aria-labelledby="k-ready-title">
      <div class="spread"><h2 id="k-ready-title">${readyTitle(state)}</h2>${modeView(state)}</div>
      ${listView(state, act)} ${beyondView(state)}
    </section>
  </div>`;
}

function formView(onFind) {
  const submit = (event) => {
    event.preventDefault();
    onFind(new FormData(event.currentTarget).get("code"));
  };
  return html`<form class="field k-find" role="search" @submit=${submit}>
    <label for="k-code">${t("kitchen.find.label")}</label>
    <div class="with-button">
      <input id="k-code" name="code" class="k-code" maxlength="12" autocomplete="off" autocapitalize="characters" spellcheck="false"
        enterkeyhint="search" aria-describedby="k-code-hint" @focus=${(event) => event.currentTarget.select()} />
      <button class="button primary" type="submit">${t("kitchen.find.button")}</button>
    </div>
    <p id="k-code-hint" class="hint">${t("kitchen.find.hint")}</p>
  </form>`;
}

function foundView(state, act) {
  const { phase, code, found } = state.search;
  if (phase === "idle") return nothing;
  if (phase === "searching") return html`<p class="muted">${t("kitchen.find.searching", { code })}</p>`;
  if (phase === "short") return html`<p class="notice warn">${icon("warn")} ${t("kitchen.find.short")}</p>`;
  if (phase === "failed") return html`<p class="notice warn">${icon("warn")} ${t("kitchen.find.failed", { code })}</p>`;
  if (found.length === 0) return html`<p class="notice warn">${icon("warn")} ${t("kitchen.find.none", { code })}</p>`;
  const several = found.length > 1 ? html`<p class="notice warn">${icon("warn")} ${t("kitchen.find.several", { n: found.length, code })}</p>` : nothing;
  return html`<h2 class="visually-hidden">${t("kitchen.find.found")}</h2>
    ${several} ${repeat(found, (ticket) => ticket.id, (ticket) => cardView(state, act, newest(state, ticket), "found"))}`;
}

function listView(state, act) {
  if (state.picture === null || !("READY" in state.picture.whole)) return nothing;
  const ready = shown(state);
  if (ready.length === 0) return html`<p class="k-empty">${t("kitchen.counter.empty")}</p>`;
  return html`<div id="tickets" class="k-ready" role="group" aria-label=${t("kitchen.ready.label")} tabindex="-1">
    ${repeat(ready, (ticket) => ticket.id, (ticket) => cardView(state, act, ticket, "ticket"))}
  </div>`;
}

/** `place` keeps ids apart: the same order can be in the list and found. */
function cardView(state, act, ticket, place) {
  const isListed = place === "ticket";
  const isChosen = isListed && ticket.id === state.chosen.id;
  const name = isListed ? `name-${ticket.id}` : `found-name-${ticket.id}`;
  const stands = isListed ? `age-${ticket.id}` : `found-age-${ticket.id}`;
  return html`<article id="${place}-${ticket.id}" class="k-ticket ${place} ${ticket.status.toLowerCase()}" data-ticket=${ticket.id}
    aria-labelledby="${name} ${stands}" tabindex=${isListed ? (isChosen ? 0 : -1) : nothing}>
    <header>
      <h3 id=${name}><span class="visually-hidden">${t("kitchen.ticket.order")} </span>${nameOfTicket(ticket)}${ticket.pickup ? html` <span class="k-pickup">${ticket.pickup.code}</span>` : nothing}</h3>
      ${standingView(state, ticket, stands)}
    </header>
    <p class="muted">${t("kitchen.ticket.student", { id: ticket.student_id })}</p>
    ${linesView(ticket.lines)}
    ${actionOf(state, ticket) === "collect" ? actionView(state, act, ticket, { nameId: name, isReachable: !isListed || isChosen }) : nothing}
  </article>`;
}

function standingView(state, ticket, id) {
  const minutes = Math.floor(model.waitedReady(ticket, state.now) / 60_000);
  const isForgotten = ticket.status === "READY" && model.waitedReady(ticket, state.now) >= model.WAITING_AFTER_MS;
  if (isForgotten) return html`<p id=${id} class="k-age late">${icon("late")} <b>${t("kitchen.age.waiting", { n: minutes })}</b></p>`;
  return html`<p id=${id} class="k-age">${standingText(ticket, minutes)}</p>`;
}

/** Where a ticket stands, in words. */
export function standingText(ticket, minutes = 0) {
  if (ticket.status === "READY" && minutes === 0) return t("kitchen.standing.ready_now");
  const at = ticket.collected_at ? time(ticket.collected_at) : "";
  return t(STANDING[ticket.status], { n: minutes, time: at });
}

function readyTitle(state) {
  const all = state.picture ? model.count(state.picture, "READY").all : 0;
  return t("kitchen.ready.title", { n: all });
}

function beyondView(state) {
  const beyond = state.picture ? model.count(state.picture, "READY").beyond : 0;
  return beyond > 0 ? html`<p class="k-empty muted">${t("kitchen.ready.beyond", { n: beyond, shown: SHOWN.READY })}</p>` : nothing;
}
