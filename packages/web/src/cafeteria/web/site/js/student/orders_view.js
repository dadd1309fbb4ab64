/** "My orders", the newest first, and the help. */
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { newestFirst } from "../orders.js";
import { shortCode } from "../short_code.js";
import { icon } from "../ui.js";
import { day, money, t } from "../words.js";
import { lineText, stageBadge } from "./tracker_view.js";

export function ordersView({ state, act }) {
  return html`<section class="past stack" aria-labelledby="past-title">
    <h2 id="past-title" tabindex="-1">${t("past.title")}</h2>
    ${state.who ? listView(state, act) : signedOutView(act)}
  </section>`;
}

function signedOutView(act) {
  return html`<p class="muted">${t("past.signed_out")}</p>
    <p><button class="button" @click=${() => act({ type: "sign-in/open" })}>${t("page.sign_in")}</button></p>`;
}

function listView({ orders, past }, act) {
  const known = newestFirst(orders).filter(({ lines }) => lines.length > 0);
  const more = () => act({ type: "past/more" });
  return html`<ul class="plain stack tight">${repeat(known, (order) => order.id, rowView)}</ul>
    ${known.length === 0 && !past.isLoading && !past.hasFailed ? html`<p class="empty muted">${t("past.empty")}</p>` : nothing}
    ${past.isLoading ? html`<p class="muted">${t("past.loading")}</p>` : nothing}
    ${past.hasFailed ? failedView(more) : nothing}
    ${past.cursor && !past.isLoading ? html`<p><button class="button" @click=${more}>${t("past.more")}</button></p>` : nothing}`;
}

function failedView(again) {
  return html`<div class="notice warn">${icon("warn")}<p class="grow">${t("past.failed")}</p>
    <button class="button" @click=${again}>${t("past.try")}</button></div>`;
}

function rowView(order) {
  return html`<li><a class="card past-order" href="#order/${order.id}">
    <span class="spread"><strong>${t("tracker.code", { code: shortCode(order.id) })}</strong>${stageBadge(order.status)}</span>
    <span>${order.lines.map(lineText).join(" · ")}</span>
    <span class="spread muted small"><span>${day(order.created_at)}</span>${order.total === null ? nothing : html`<span>${money(order.total)}</span>`}</span>
  </a></li>`;
}

const QUESTIONS = [
  ["help.twice.q", "help.twice.a"], ["help.code.q", "help.code.a"], ["help.cancel.q", "help.cancel.a"],
  ["help.offline.q", "help.offline.a"], ["help.tabs.q", "help.tabs.a"], ["help.person.q", "help.person.a"],
];

export function helpView() {
  return html`<section class="help stack" aria-labelledby="help-title">
    <h2 id="help-title" tabindex="-1">${t("help.title")}</h2>
    ${QUESTIONS.map(([question, answer]) => html`<div class="stack tight"><h3>${t(question)}</h3><p>${t(answer)}</p></div>`)}
  </section>`;
}
