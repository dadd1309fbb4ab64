/** The main part of the page: the section that was chosen, or what keeps this person from it. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { leave } from "../account_model.js";
import { loginView } from "../login_view.js";
import { icon } from "../ui.js";
import { t } from "../words.js";
import { counterView } from "./counter_view.js";
import { barView, lostView } from "./frame_view.js";
import { settingsView } from "./settings_view.js";
import { lineView } from "./tickets_view.js";

const TITLES = { line: "kitchen.line.title", counter: "kitchen.counter.title", settings: "kitchen.settings.name" };

/**
 * @param {ReturnType<import("./state.js").initial>} state
 * @param {{onFind: (text: string) => void, onSettings: (change: object) => void}} effects
 */
export function mainView(state, act, effects) {
  if (isWrongRole(state)) return roleView(state, act);
  const isOut = state.who === null || state.trouble === "signed-out";
  const hasBody = !isOut || state.picture !== null;
  return html`<h1 id="k-title" class="visually-hidden">${t(TITLES[state.section])}</h1>
    ${hasBody ? lostView(state) : nothing} ${isOut ? signInView(state, act) : nothing}
    ${hasBody ? html`<div class="k-body ${isOut ? "dimmed" : ""}" ?inert=${isOut}>${sectionView(state, act, effects)}</div>` : nothing}
    ${barView(state, act)}`;
}

function sectionView(state, act, { onFind, onSettings }) {
  if (state.section === "settings") return settingsView(state.settings, onSettings);
  return state.section === "counter" ? counterView(state, act, onFind) : lineView(state, act);
}

function signInView(state, act) {
  const labels = { title: t("kitchen.login.title"), idLabel: t("kitchen.login.id"), inputMode: "text" };
  return html`<div class="column">${loginView({ state: state.login, act, t, ...labels })}</div>`;
}

function isWrongRole({ who, trouble }) {
  return who != null && (who.role === "student" || trouble === "forbidden");
}

function roleView(state, act) {
  return html`<section class="column stack" aria-labelledby="k-title">
    <h1 id="k-title">${t("kitchen.role.title")}</h1>
    <p class="notice warn">${icon("warn")}<span>${t("kitchen.role.text", { id: state.who.student_id })}</span></p>
    <button class="button primary" type="button" @click=${() => leave(act)}>${t("kitchen.role.leave")}</button>
  </section>`;
}
