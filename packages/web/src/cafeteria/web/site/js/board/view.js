/** The board: which meals are ready, which are cooking; or why it cannot be trusted. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { icon } from "../ui.js";
import { t, time } from "../words.js";
import { hall, pageOf, sizeOf, trustOf } from "./model.js";

/** @param {ReturnType<import("./model.js").initial>} state */
export function headView(state) {
  return html`<div class="b-head">
    <h1>${t("board.ready.title")} <span>${t("board.ready.come")}</span></h1>
    ${ageView(state)}
    <p class="b-clock">${time(state.now)}</p>
  </div>`;
}

/** @param {ReturnType<import("./model.js").initial>} state */
export function boardView(state, act) {
  const trust = trustOf(state);
  if (trust === "stale") return html`<p class="b-stale">${icon("warn")}<span>${t("board.stale")}</span></p>`;
  return trust === "loading" ? html`<p class="b-empty">${t("board.loading")}</p>` : hallView(state, act);
}

function ageView(state) {
  if (trustOf(state) !== "behind") return html`<p class="b-old"></p>`; // its place, so that nothing moves
  const age = Math.floor((state.now - state.asOf) / 1000);
  return html`<p class="b-old">${icon("reconnecting")} ${t("board.behind", { s: age })}</p>`;
}

function hallView(state, act) {
  const shown = hall(state.board, state.now);
  return html`<section class="b-ready-part" aria-label=${t("board.ready.label")}>
      ${shown.ready.length ? readyView(shown.ready, state, act) : html`<p class="b-empty">${t("board.ready.none")}</p>`} ${longerView(shown)}
    </section>
    ${state.board.is_open ? nothing : pausedView(state.board.reopens_at)} ${cookingView(shown)}`;
}

function readyView(ready, state, act) {
  const { shown, current, pages } = pageOf(ready, state.page);
  return html`<ul class="plain b-ready ${sizeOf(ready)}">
      ${shown.map(mealView)}
    </ul>
    ${pages > 1 ? pagerView(state, act, current, pages) : nothing}`;
}

function mealView({ number, isNew }) {
  return html`<li class=${isNew ? "new" : ""}>${number}${isNew ? html` <span class="b-new">${t("board.ready.new")}</span>` : nothing}</li>`;
}

function pagerView(state, act, current, pages) {
  const [sign, key] = state.isPaused ? ["play", "board.pages.go_on"] : ["pause", "board.pages.pause"];
  return html`<div class="b-pager">
    <p>${t("board.pages.which", { current, pages })}</p>
    <button class="button" @click=${() => act({ type: "pause" })}>${icon(sign)} ${t(key)} <kbd aria-hidden="true">␣</kbd></button>
  </div>`;
}

function longerView({ longer, moreLonger }) {
  if (longer.length + moreLonger === 0) return nothing;
  const more = moreLonger > 0 ? t("board.longer.more", { n: moreLonger }) : "";
  return html`<p class="b-longer">${icon("clock")} ${t("board.longer.title")} <b>${longer.join("  ")}</b> ${more}</p>`;
}

function cookingView({ cooking, moreCooking, waiting }) {
  return html`<section class="b-cooking" aria-labelledby="b-cooking-title">
    <h2 id="b-cooking-title">${t("board.cooking.title")}</h2>
    <ul class="plain">
      ${cooking.map((number) => html`<li>${number}</li>`)} ${moreCooking > 0 ? html`<li class="b-more">${t("board.cooking.more", { n: moreCooking })}</li>` : nothing}
      ${waiting > 0 ? html`<li class="b-more">${t("board.waiting", { n: waiting })}</li>` : nothing}
      ${cooking.length + moreCooking + waiting === 0 ? html`<li class="b-more">${t("board.cooking.none")}</li>` : nothing}
    </ul>
  </section>`;
}

function pausedView(reopensAt) {
  const text = reopensAt ? t("board.paused.until", { time: time(reopensAt) }) : t("board.paused");
  return html`<p class="b-paused">${icon("pause")}<span>${text}</span></p>`;
}
