/** The student's orders: the one under way with its four stages, the ways to it, and all that were. And the help. */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { countdown, now } from "../clock.js";
import { priceOf } from "../menu.js";
import { STAGES, canCancel, hasEnded, newestFirst, stageOf, timeOf } from "../orders.js";
import { nameOfOrder, numberOf } from "../short_code.js";
import { icon } from "../ui.js";
import { day, money, t, time } from "../words.js";
import { orderCards, shownOrder } from "./model.js";
import { etaText, etaView } from "./ready_view.js";

const MOST_CARDS = 3;

/** The order in full, and one line for each order that the menu leads to. */
export function nowView({ state, act }) {
  const order = shownOrder(state, now());
  const cards = orderCards(state, now());
  return html`${cards.length ? cardsView(cards, order, state) : nothing}
    ${order ? trackerView({ order, state, act }) : state.route.name === "order" ? noOrderView(state, act) : nothing}`;
}

function cardsView(cards, shown, state) {
  const isMore = cards.length > MOST_CARDS;
  return html`<ul class="plain stack tight order-cards">
    ${cards.slice(0, MOST_CARDS).map((order) => html`<li class=${order === shown ? "is-shown" : ""}>${orderCard({ order, state })}</li>`)}
    ${isMore ? html`<li><a class="button wide" href="#orders">${t("tracker.more", { n: cards.length - MOST_CARDS })}</a></li>` : nothing}
  </ul>`;
}

function noOrderView(state, act) {
  const { route, absent, who, isSessionKnown } = state;
  const key = absent[route.id] === 404 ? "tracker.unknown" : absent[route.id] ? "tracker.failed" : "tracker.loading";
  return html`<section class="tracker stack"><h2 id="tracker-title" tabindex="-1">${t("tracker.title")}</h2>
    ${isSessionKnown && !who ? signedOutView(state, act) : html`<p class="muted">${t(key)}</p>`}</section>`;
}

/** The words of a stage, as a badge and a title say them. */
export function stageName(status) {
  return t(STAGE_NAMES[status]);
}

const STAGE_NAMES = {
  PENDING: "stage.pending", STOCK_VERIFIED: "stage.verified", IN_KITCHEN: "stage.kitchen", READY: "stage.ready",
  COLLECTED: "stage.collected", REJECTED: "stage.rejected", CANCELLED: "stage.cancelled",
};
const TONES = { READY: "is-ready", REJECTED: "bad", CANCELLED: "plain-badge", IN_KITCHEN: "info", COLLECTED: "good", STOCK_VERIFIED: "good" };

function stageBadge(status) {
  return html`<span class="badge ${TONES[status] ?? "plain-badge"}">${stageName(status)}</span>`;
}

/** The way to an order from the menu: one line that tells its state. */
function orderCard({ order, state }) {
  const code = nameOfOrder(order);
  return html`<a class="card order-card ${order.status === "READY" ? "is-ready" : ""}" href="#order/${order.id}"
    aria-label=${t("tracker.open", { code, stage: stageName(order.status) })}>
    <span class="order-card-text"><span>${t("tracker.code", { code })}</span><strong>${stageName(order.status)}</strong><span>${etaText(order, state)}</span></span>
    ${icon("next")}</a>`;
}

function trackerView({ order, state, act }) {
  const code = nameOfOrder(order);
  return html`<section class="tracker stack" aria-labelledby="tracker-title">
    <div class="spread">
      <h2 id="tracker-title" tabindex="-1">${t("tracker.title")} <span class="order-code">${code}</span></h2>
      ${order.created_at ? html`<p class="muted">${t("tracker.ordered", { time: time(order.created_at) })}</p>` : nothing}
    </div>
    ${order.status === "READY" ? readyView(order, code) : sentenceView(order)}
    ${etaView(order, state)} ${stageOf(order) >= 0 ? stagesView(order) : nothing} ${contentsView(order)} ${actionsView({ order, state, act })}
  </section>`;
}

function readyView(order, code) {
  const since = timeOf(order, "READY");
  return html`<div class="ready-card">
    <p class="ready-head">${icon("check")}${t("ready.head")}</p>
    <p class="ready-title">${t("ready.title")}</p>
    ${order.pickup ? pickupView(order) : html`<p class="ready-label">${t("ready.say")}</p><p class="code ready-code">${code}</p>`}
    ${since ? html`<p>${t("ready.since", { time: time(since) })}</p>` : nothing}
  </div>`;
}

/** The number is called up; the code, which nobody else can know, hands the food out. */
function pickupView(order) {
  return html`<p class="ready-label">${t("ready.number")}</p><p class="ready-number">${numberOf(order)}</p>
    <p class="ready-label">${t("ready.code")}</p><p class="code ready-code">${order.pickup.code}</p>
    <p>${t("ready.secret")}</p>`;
}

const REJECTED = {
  OUT_OF_STOCK: "tracker.rejected.stock", UNKNOWN_ITEM: "refused.item.unknown", EXPIRED: "refused.expired",
};

const SENTENCES = {
  PENDING: () => ["info", t("tracker.received")],
  STOCK_VERIFIED: () => ["good", t("tracker.accepted")],
  IN_KITCHEN: () => ["info", t("tracker.kitchen")],
  COLLECTED: (order) => ["good", t("tracker.collected", { time: at(order, "COLLECTED") })],
  CANCELLED: (order) =>
    order.reason === "KITCHEN"
      ? ["bad", t("tracker.refused", { time: at(order, "CANCELLED") })]
      : ["info", t("tracker.cancelled", { time: at(order, "CANCELLED") })],
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
const lineText = ({ quantity, name }) => t("tracker.line", { n: quantity, dish: name ?? t("tracker.dish_unknown") });

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
  late: () => t("cancel.late"),
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
  if (canNotify !== "default") return nothing;
  return html`<p><button class="button" @click=${() => act({ type: "notify/ask" })}>${t("tracker.notify")}</button></p>`;
}

export function ordersView({ state, act }) {
  return html`<section class="past stack" aria-labelledby="past-title">
    <h2 id="past-title" tabindex="-1">${t("past.title")}</h2>
    ${state.who ? listView(state, act) : signedOutView(state, act)}
  </section>`;
}

function signedOutView({ isSigningIn }, act) {
  if (isSigningIn) return html`<p class="muted">${t("past.signed_out")}</p>`;
  return html`<p class="muted">${t("past.signed_out")}</p>
    <p><button class="button" @click=${() => act({ type: "sign-in/open" })}>${t("page.sign_in")}</button></p>`;
}

function listView({ orders, past }, act) {
  const known = newestFirst(orders).filter(({ lines }) => lines.length > 0);
  const more = () => act({ type: "past/more" });
  return html`<ul class="plain stack tight">${known.map(rowView)}</ul>
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
    <span class="spread"><strong>${t("tracker.code", { code: nameOfOrder(order) })}</strong>${stageBadge(order.status)}</span>
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
