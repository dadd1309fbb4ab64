/** What the line and the counter share: a ticket's age, its dishes, its one button, and why a button is missing. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { icon } from "../ui.js";
import { t } from "../words.js";
import * as model from "./model.js";
import { pressOf } from "./pending.js";
import { actionOf } from "./state.js";

const LEVELS = { soon: { sign: "soon", key: "kitchen.age.soon" }, late: { sign: "late", key: "kitchen.age.late" } };
const LABELS = { start: "kitchen.action.start", ready: "kitchen.action.ready", collect: "kitchen.action.collect" };
const HELD = { start: "kitchen.held.start", ready: "kitchen.held.ready", collect: "kitchen.held.collect" };
const SPOKEN = { fresh: "kitchen.age.spoken", soon: "kitchen.age.spoken_soon", late: "kitchen.age.spoken_late" };

/** How long the student has waited: sign, word and colour together; screen readers hear whole minutes. */
export function ageView(id, waitedMs, level) {
  const mark = LEVELS[level] ? html`${icon(LEVELS[level].sign)}<b>${t(LEVELS[level].key)}</b>` : nothing;
  return html`<p id="age-${id}" class="k-age ${level}">
    <span aria-hidden="true">${mark} ${model.stopwatch(waitedMs)}</span>
    <span class="visually-hidden">${t(SPOKEN[level], { n: Math.floor(waitedMs / 60_000) })}</span>
  </p>`;
}

/** Why there is no button to press: the kitchen cooks by itself, or this person only looks. */
export function modeView(state) {
  if (state.picture === null) return html`<p class="k-mode muted">${t("kitchen.line.loading")}</p>`;
  if (state.who?.role !== "operator" && model.isManual(state.picture)) return nothing;
  const key = state.who?.role === "operator" ? "kitchen.role.looks" : "kitchen.mode.auto";
  return html`<p class="k-mode muted">${icon("info")} ${t(key)}</p>`;
}

export function linesView(lines) {
  return html`<ul class="plain k-lines">
    ${lines.map((line) => html`<li><b>${line.quantity}</b> <span>${line.name ?? t("kitchen.dish.unknown")}</span></li>`)}
  </ul>`;
}

/** The ticket's button. A pressed one stays where it is and says when its press is sent: a second tap does nothing. */
export function actionView(state, act, ticket, { nameId, isReachable }) {
  const press = pressOf(state.presses, ticket.id);
  const action = press?.action ?? actionOf(state, ticket);
  const onPress = () => press === null && act({ type: "press", ticket, action, mono: performance.now() });
  return html`<button class="button primary wide k-act ${action} ${press ? "pressed" : ""}" aria-disabled=${press !== null} tabindex=${isReachable ? 0 : -1}
    aria-describedby=${nameId} @click=${onPress}>
    ${press ? icon("check") : nothing} ${press ? pressText(press, state.mono) : t(LABELS[action])}
  </button>`;
}

/** What a press is doing: "Ready in 4 s", "Sending…", "Will be sent when the network is back". */
export function pressText(press, mono) {
  if (press.phase === "again") return t(press.isOffline ? "kitchen.press.offline" : "kitchen.press.again");
  if (press.phase === "sending") return t("kitchen.press.sending");
  return t(HELD[press.action], { s: Math.max(0, Math.ceil((press.dueAt - mono) / 1000)) });
}
