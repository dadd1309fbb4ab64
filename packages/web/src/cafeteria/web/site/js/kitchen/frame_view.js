/** What surrounds every section: how old the picture is, how much there is to do, and the bar of presses and notes. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { icon } from "../ui.js";
import { digits, t, time } from "../words.js";
import * as model from "./model.js";
import { canUndo, lastHeld } from "./pending.js";
import { pressText } from "./ticket_parts.js";
import { freshness } from "./state.js";

const SECTIONS = { line: "kitchen.section.line", counter: "kitchen.section.counter", settings: "kitchen.section.settings" };
const WORK = { line: ["QUEUED", "IN_KITCHEN"], counter: ["READY"] };
const SHOWN_PRESSES = 4;
const UNDO_KEY = "U";

/** The sections of the page for its head: none for who may not see them. @param {ReturnType<import("./state.js").initial>} state */
export function sectionsOf(state) {
  if (isStranger(state)) return [];
  return Object.entries(SECTIONS).map(([section, key]) => ({ href: `#${section}`, label: tabView(state, section, key), isCurrent: state.section === section }));
}

/** How old the picture is, and how much there is to do. */
export function stateView(state) {
  return isStranger(state) ? nothing : html`${liveView(state)} ${countsView(state)}`;
}

/** The red bar of a picture that is too old to trust. */
export function lostView(state) {
  if (freshness(state) !== "lost") return nothing;
  const shown = state.picture ? t("kitchen.lost.shows", { time: time(state.picture.asOf, { seconds: true }) }) : t("kitchen.lost.nothing");
  return html`<div class="k-lost">${icon("warn")}<p><b>${t("kitchen.lost.title")}</b> ${shown} ${t("kitchen.lost.trying")}</p></div>`;
}

/** Presses that are not at the kitchen yet, with the way back, and what became of others. */
export function barView(state, act) {
  if (state.presses.length + state.notes.length === 0) return nothing;
  const last = lastHeld(state.presses);
  const more = state.presses.length - SHOWN_PRESSES;
  return html`<section class="k-bar" aria-label=${t("kitchen.bar.label")}>
    ${repeat(state.notes, (note) => note, (note) => noteView(note, act))}
    ${repeat(state.presses.slice(-SHOWN_PRESSES), (press) => press.ticketId, (press) => pressView(state, act, press, press === last))}
    ${more > 0 ? html`<p class="muted">${t("kitchen.bar.more", { n: more })}</p>` : nothing}
  </section>`;
}

/** A phone has no room for the counts: its tabs carry them. */
function tabView(state, section, key) {
  const statuses = WORK[section];
  if (!statuses) return t(key);
  const all = statuses.reduce((sum, status) => sum + (state.picture ? model.count(state.picture, status).all : 0), 0);
  return html`${t(key)}<span class="k-tab-count">${state.picture ? digits(all) : "–"}</span>`;
}

function isStranger({ who, picture }) {
  return who?.role === "student" || (who === null && picture === null);
}

function liveView(state) {
  const trust = freshness(state);
  if (trust === "loading") return html`<p class="link-state">${icon("reconnecting")} ${t("kitchen.live.loading")}</p>`;
  if (trust === "live") {
    const at = time(state.picture.asOf, { seconds: true });
    return html`<p class="link-state live">${icon("live")} <b>${t("kitchen.live.live")}</b> ${at}</p>`;
  }
  const age = state.picture ? Math.floor((state.now - state.picture.asOf) / 1000) : 0;
  return html`<p class="link-state k-old">${icon("reconnecting")} ${state.picture ? t("kitchen.live.behind", { s: age }) : t("kitchen.live.none")}</p>`;
}

function countsView(state) {
  const number = (status) => (state.picture ? model.count(state.picture, status).all : "–");
  const stations = state.picture?.load.stations ?? null;
  const cooking = stations === null ? t("kitchen.count.cooking", { n: number("IN_KITCHEN") }) : t("kitchen.count.stations", { n: number("IN_KITCHEN"), stations });
  return html`<ul class="plain k-counts">
    <li>${t("kitchen.count.waiting", { n: number("QUEUED") })}</li>
    <li>${cooking}</li>
    <li>${t("kitchen.count.ready", { n: number("READY") })}</li>
  </ul>`;
}

function pressView(state, act, press, isLast) {
  const undo = html`<button class="button k-undo" @click=${() => act({ type: "undo", ticketId: press.ticketId })}>
    ${icon("undo")} ${t("kitchen.press.undo")} <span class="visually-hidden">${press.name}</span>
    ${isLast && state.settings.keys && state.isWide ? html`<kbd aria-hidden="true">${UNDO_KEY}</kbd>` : nothing}
  </button>`;
  return html`<div class="k-press">
    <p><b class="k-press-code">${press.name}</b> ${pressText(press, state.mono)}</p>
    ${canUndo(press) ? undo : nothing}
  </div>`;
}

function noteView(note, act) {
  return html`<div class="k-press note">
    <p>${icon("info")} ${t(note.key, note.values)}</p>
    <button class="button" @click=${() => act({ type: "dismiss", note })}>${t("kitchen.note.dismiss")}</button>
  </div>`;
}
