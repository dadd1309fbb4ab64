/** One order on its way: its four stages with their times, what can be done, and how it ended. */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { countdown } from "../clock.js";
import { priceOf } from "../menu.js";
import { STAGES, canCancel, hasEnded, stageOf, timeOf } from "../orders.js";
import { shortCode } from "../short_code.js";
import { icon } from "../ui.js";
import { money, t, time } from "../words.js";

/** The words of a stage, as a badge and a title say them. */
export function stageName(status) {
  return t(STAGE_NAMES[status]);
}

const STAGE_NAMES = {
  PENDING: "stage.pending", STOCK_VERIFIED: "stage.verified", IN_KITCHEN: "stage.kitchen", READY: "stage.ready",
  COLLECTED: "stage.collected", REJECTED: "stage.rejected", CANCELLED: "stage.cancelled",
};
const TONES = { READY: "is-ready", REJECTED: "bad", CANCELLED: "plain-badge", IN_KITCHEN: "info", COLLECTED: "good", STOCK_VERIFIED: "good" };

/** @param {import("../orders.js").Status} status */
export function stageBadge(status) {
  return html`<span class="badge ${TONES[status] ?? "plain-badge"}">${stageName(status)}</span>`;
}

/** The way to an order from the menu: one line that tells its state. */
export function orderCard({ order }) {
  const code = shortCode(order.id);
  return html`<a class="card order-card ${order.status === "READY" ? "is-ready" : ""}" href="#order/${order.id}"
    aria-label=${t("tracker.open", { code, stage: stageName(order.status) })}>
    <span class="order-card-text"><span>${t("tracker.code", { code })}</span><strong>${stageName(order.status)}</strong></span>
    ${icon("next")}</a>`;
}

export function trackerView({ order, state, act }) {
  const code = shortCode(order.id);
  return html`<section class="tracker stack" aria-labelledby="tracker-title">
    <div class="spread">
      <h2 id="tracker-title" tabindex="-1">${t("tracker.title")} <span class="order-code">${code}</span></h2>
      ${order.created_at ? html`<p class="muted">${t("tracker.ordered", { time: time(order.created_at) })}</p>` : nothing}
    </div>
    ${order.status === "READY" ? readyView(order, code) : sentenceView(order)}
    ${stageOf(order) >= 0 ? stagesView(order) : nothing} ${contentsView(order)} ${actionsView({ order, state, act })}
  </section>`;
}

function readyView(order, code) {
  const since = timeOf(order, "READY");
  return html`<div class="ready-card">
    <p class="ready-head">${icon("check")}${t("ready.head")}</p>
    <p class="ready-title">${t("ready.title")}</p>
    <p class="ready-label">${t("ready.code")}</p>
    <p class="code ready-code">${code}</p>
    ${since ? html`<p>${t("ready.since", { time: time(since) })}</p>` : nothing}
  </div>`;
}

const REJECTED = {
  OUT_OF_STOCK: "tracker.rejected.stock", UNKNOWN_ITEM: "tracker.rejected.item", EXPIRED: "tracker.rejected.expired",
};

const SENTENCES = {
  PENDING: () => ["info", t("tracker.received")],
  STOCK_VERIFIED: () => ["good", t("tracker.accepted")],
  IN_KITCHEN: () => ["info", t("tracker.kitchen")],
  COLLECTED: (order) => ["good", t("tracker.collected", { time: at(order, "COLLECTED") })],
  CANCELLED: (order) => ["info", t("tracker.cancelled", { time: at(order, "CANCELLED") })],
  REJECTED: (order) => ["bad", t(REJECTED[order.reason] ?? REJECTED.OUT_OF_STOCK)],
};

const at = (order, status) => (timeOf(order, status) ? time(timeOf(order, status)) : "–");

/** The one sentence that tells a person how it stands. */
export const sentenceOf = (order) => SENTENCES[order.status]?.(order)[1] ?? t("ready.title");

function sentenceView(order) {
  const [tone, sentence] = SENTENCES[order.status](order);
  return html`<p class="notice ${tone}">${icon(tone === "bad" ? "warn" : tone === "good" ? "check" : "info")}<span>${sentence}</span></p>`;
}

function stagesView(order) {
  const reached = stageOf(order);
  return html`<ol class="plain stages" aria-label=${t("tracker.stages")}>${STAGES.map((stage, n) => stageView(order, stage, n - reached))}</ol>`;
}

/** `distance`: below 0 the stage is done, 0 now, above 0 to come. */
function stageView(order, stage, distance) {
  const [sign, state] = distance < 0 ? ["check", "stage.done"] : distance === 0 ? ["current", "stage.now"] : ["todo", "stage.todo"];
  const since = distance <= 0 ? timeOf(order, stage) : null;
  return html`<li class="stage ${sign}" aria-current=${distance === 0 ? "step" : nothing}>
    <span class="stage-sign">${icon(sign)}</span><span class="stage-name">${stageName(stage)}</span>
    ${since ? html`<time class="stage-time" datetime=${since}>${time(since, { seconds: true })}</time>` : nothing}
    <span class="visually-hidden">${t(state)}</span></li>`;
}

function contentsView({ lines, total }) {
  if (lines.length === 0) return nothing;
  return html`<div class="contents"><h3 class="visually-hidden">${t("tracker.contents")}</h3>
    <ul class="plain">${lines.map((line) => html`<li class="spread"><span>${lineText(line)}</span>
      ${line.unit_price === null ? nothing : html`<span>${money(priceOf(line))}</span>`}</li>`)}</ul>
    ${total === null ? nothing : html`<p class="spread total"><span>${t("basket.total")}</span><strong>${money(total)}</strong></p>`}
  </div>`;
}

/** "2 × Beef Haleem". */
export const lineText = ({ quantity, name }) => t("tracker.line", { n: quantity, dish: name ?? t("tracker.dish_unknown") });

function actionsView({ order, state, act }) {
  if (hasEnded(order)) return endedActions(order, act);
  return html`${canCancel(order) ? cancelView({ order, cancel: state.cancels[order.id], act }) : lateView(state.cancels[order.id])}
    ${order.status === "READY" ? nothing : notifyView(state, act)}
    <p><a class="button" href="#menu">${t("tracker.other")}</a></p>`;
}

function endedActions(order, act) {
  const again = () => act({ type: "order/again", lines: order.lines });
  const canRepeat = order.status !== "COLLECTED" && order.lines.length > 0;
  return html`<div class="row">
    ${canRepeat ? html`<button class="button" @click=${again}>${t("tracker.again")}</button>` : nothing}
    <a class="button" href="#menu" @click=${() => act({ type: "order/dismiss", id: order.id })}>${t("tracker.other")}</a></div>`;
}

const CANCELLING = {
  asking: () => t("cancel.asking"),
  undecided: () => t("cancel.undecided"),
  "undecided-over": () => t("cancel.undecided.over"),
  silent: ({ until }) => t("cancel.silent", { s: countdown(until) }),
  failed: ({ requestId }) => t("cancel.failed", { request_id: requestId ?? "–" }),
};

function cancelView({ order, cancel, act }) {
  const isTrying = cancel && ["asking", "undecided", "silent"].includes(cancel.step);
  const press = () => !isTrying && act({ type: "cancel/press", id: order.id });
  return html`<div class="stack tight">
    ${cancel ? html`<p class="notice warn" id="cancel-state">${icon("info")}<span>${CANCELLING[cancel.step](cancel)}</span></p>` : nothing}
    ${cancel?.step === "silent"
      ? html`<button class="button" @click=${() => act({ type: "cancel/stop", id: order.id })}>${t("cancel.stop")}</button>`
      : html`<button class="button danger" aria-disabled=${Boolean(isTrying)} aria-describedby="cancel-hint" @click=${press}>${t("cancel.button")}</button>`}
    <p class="small muted" id="cancel-hint">${t("cancel.until")}</p></div>`;
}

function lateView(cancel) {
  return cancel?.step === "late" ? html`<p class="notice warn">${icon("info")}<span>${t("cancel.late")}</span></p>` : nothing;
}

function notifyView({ canNotify }, act) {
  if (canNotify === "default") return html`<p><button class="button" @click=${() => act({ type: "notify/ask" })}>${t("tracker.notify")}</button></p>`;
  return canNotify === "granted" ? html`<p class="small muted">${t("tracker.notify.on")}</p>` : nothing;
}
