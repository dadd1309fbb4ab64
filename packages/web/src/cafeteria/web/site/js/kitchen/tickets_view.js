/** The line: what is to be cooked, as tickets oldest first, and how much of each dish that is. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { nameOfTicket } from "../short_code.js";
import { icon } from "../ui.js";
import { t } from "../words.js";
import * as model from "./model.js";
import { actionView, ageView, linesView, modeView } from "./ticket_parts.js";
import { actionOf, freshness, shown } from "./state.js";

const PLACES = 9; // digits that choose a ticket
const SUMMARY = 3; // dishes that the folded list of a phone names
const FILTERS = { all: "kitchen.filter.all", waiting: "kitchen.filter.waiting", cooking: "kitchen.filter.cooking" };

/** @param {ReturnType<import("./state.js").initial>} state */
export function lineView(state, act) {
  const tickets = shown(state);
  return html`<div class="k-line">
    ${totalsView(state)}
    <section class="k-board ${freshness(state)}" aria-labelledby="k-title">
      <div class="spread">${filtersView(state, act)} ${modeView(state)}</div>
      <div id="tickets" class="k-grid" role="group" aria-label=${t("kitchen.tickets.label")} tabindex="-1">
        ${repeat(tickets, (ticket) => ticket.id, (ticket, place) => ticketView(state, act, ticket, place))}
      </div>
      ${state.picture === null ? loadingView() : nothing} ${state.picture && tickets.length === 0 ? emptyView(state) : nothing}
      ${state.picture ? beyondView(state) : nothing}
    </section>
  </div>`;
}

function filtersView(state, act) {
  return html`<div class="k-filters" role="group" aria-label=${t("kitchen.filter.label")}>
    ${Object.entries(FILTERS).map(
      ([filter, key]) =>
        html`<button class="button" aria-pressed=${state.filter === filter} @click=${() => act({ type: "filter", filter })}>${t(key)}</button>`,
    )}
  </div>`;
}

function ticketView(state, act, ticket, place) {
  const waited = model.waited(ticket, state.now);
  const level = model.level(waited, state.settings);
  const isChosen = ticket.id === state.chosen.id;
  return html`<article id="ticket-${ticket.id}" class="k-ticket ${level}" data-ticket=${ticket.id} aria-labelledby="name-${ticket.id} age-${ticket.id}"
    tabindex=${isChosen ? 0 : -1}>
    <header>
      <span class="k-place" aria-hidden="true">${place < PLACES ? place + 1 : ""}</span>
      <h2 id="name-${ticket.id}"><span class="visually-hidden">${t("kitchen.ticket.order")} </span>${nameOfTicket(ticket)}</h2>
      ${ageView(ticket.id, waited, level)}
    </header>
    ${linesView(ticket.lines)} ${stageView(state, ticket)}
    ${actionOf(state, ticket) ? actionView(state, act, ticket, { nameId: `name-${ticket.id}`, isReachable: isChosen }) : nothing}
  </article>`;
}

function stageView(state, ticket) {
  if (ticket.status === "QUEUED") return html`<p class="k-stage muted">${t("kitchen.ticket.waiting")}</p>`;
  const part = model.progress(ticket, state.now);
  if (part === null) {
    const since = model.stopwatch(state.now - Date.parse(ticket.started_at));
    return html`<p class="k-stage cooking">${icon("current")} ${t("kitchen.ticket.cooking", { since })}</p>`;
  }
  return html`<p class="k-stage cooking">${icon("current")} ${t("kitchen.ticket.oven")}</p>
    <progress max="1" .value=${part} aria-label=${t("kitchen.ticket.progress")}></progress>`;
}

function loadingView() {
  return html`<div class="k-grid" aria-hidden="true">${Array.from({ length: 8 }, () => html`<div class="k-ticket k-blank"></div>`)}</div>`;
}

function emptyView(state) {
  const key = { all: "kitchen.line.empty", waiting: "kitchen.line.none_waiting", cooking: "kitchen.line.none_cooking" }[state.filter];
  return html`<p class="k-empty">${icon("check")} ${t(key)}</p>`;
}

/** Counts what the picture leaves out; the oldest tickets are those that are shown. */
function beyondView(state) {
  const waiting = model.count(state.picture, "QUEUED").beyond;
  const cooking = model.count(state.picture, "IN_KITCHEN").beyond;
  if (waiting + cooking === 0) return nothing;
  return html`<p class="k-empty muted">${t("kitchen.line.beyond", { n: waiting + cooking })}</p>`;
}

function totalsView(state) {
  const dishes = model.totals(state.tickets);
  const list = html`<ul class="plain k-dishes">
    ${repeat(dishes, (dish) => dish.itemId, dishView)}
  </ul>`;
  const isWhole = !state.picture || (state.picture.whole.QUEUED !== false && state.picture.whole.IN_KITCHEN !== false);
  const partial = isWhole ? nothing : html`<p class="muted small">${t("kitchen.totals.partial")}</p>`;
  if (state.isWide) return html`<section class="k-totals" aria-labelledby="k-totals-title"><h2 id="k-totals-title">${t("kitchen.totals.title")}</h2>${list}${partial}</section>`;
  return html`<details class="k-totals"><summary>${t("kitchen.totals.title")}: <span>${summaryOf(dishes)}</span></summary>${list}${partial}</details>`;
}

function dishView(dish) {
  const cooking = dish.cooking ? html`<span class="muted small">${t("kitchen.totals.cooking", { n: dish.cooking })}</span>` : nothing;
  return html`<li><b>${dish.portions}</b><span>${dish.name ?? t("kitchen.dish.unknown")} ${cooking}</span></li>`;
}

function summaryOf(dishes) {
  const named = dishes.slice(0, SUMMARY).map((dish) => `${dish.portions} ${dish.name ?? t("kitchen.dish.unknown")}`);
  return [...named, ...(dishes.length > SUMMARY ? ["…"] : [])].join(", ") || t("kitchen.totals.none");
}
