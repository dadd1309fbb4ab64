/**
 * The basket, the order button, and what stands in its way: on a phone the bar at the bottom, which opens upwards. And who
 * is signed in, or the sign-in.
 */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { countdown, now } from "../clock.js";
import { loginView } from "../login_view.js";
import { canCancel, canChange, codeOf, isPending } from "../machine.js";
import { judge, portionsOf, priceOf, totalOf } from "../menu.js";
import { focusOn, icon } from "../ui.js";
import { day, money, t, time } from "../words.js";
import { pauseOf } from "./canteen.js";
import { stepper } from "./page_view.js";
import { pauseText } from "./ready_view.js";

function basketView({ state, act }) {
  const lines = judge(state.machine.lines, state.menu.items);
  const notice = noticeOf(state);
  const classes = `basket ${lines.length ? "" : "is-empty"} ${state.isBasketOpen ? "is-open" : ""} ${notice ? "has-notice" : ""}`;
  return html`<section class="${classes}" aria-labelledby="basket-title" @keydown=${(event) => escape(event, state, act)}>
    <div class="basket-lines stack" id="basket-lines">
      <h2 id="basket-title" tabindex="-1">${t("basket.title")}</h2>
      ${lines.length ? linesView(lines, state, act) : html`<p class="muted">${t("basket.empty")}</p>`}
    </div>
    ${notice ? noticeView(notice, act) : nothing}
    <div class="basket-bar">${lines.length ? toggle(lines, state, act) : nothing} ${orderButton({ lines, state, notice, act })}</div>
  </section>`;
}

function escape(event, state, act) {
  if (event.key !== "Escape" || !state.isBasketOpen) return;
  act({ type: "basket/toggle" });
  focusOn("#basket-toggle");
}

function toggle(lines, { isBasketOpen }, act) {
  const n = portionsOf(lines);
  const total = money(totalOf(lines));
  return html`<button class="basket-toggle" id="basket-toggle" aria-expanded=${isBasketOpen} aria-controls="basket-lines"
    aria-label=${t("basket.toggle", { n, total })} @click=${() => act({ type: "basket/toggle" })}>
    <span class="basket-count">${icon("basket")}${t("basket.portions", { n })}</span>
    <span class="basket-sum">${total}${icon(isBasketOpen ? "down" : "up")}</span>
  </button>`;
}

function linesView(lines, state, act) {
  return html`<ul class="plain lines">${lines.map((line) => lineView(line, state, act))}</ul>
    <p class="spread total"><span>${t("basket.total")}</span><strong>${money(totalOf(lines))}</strong></p>`;
}

function lineView(line, { isFrozen: frozen }, act) {
  return html`<li class="line ${line.trouble ?? ""}">
    <span class="line-name">${frozen ? t("tracker.line", { n: line.quantity, dish: line.name }) : line.name}</span>
    <span class="line-price">${money(priceOf(line))}</span>
    ${frozen ? nothing : html`<div class="line-control">${controls(line, act)}</div>`} ${frozen ? nothing : troubleView(line, act)}
  </li>`;
}

const canStep = ({ trouble }) => trouble === null || trouble === "fewer";

function controls(line, act) {
  const { name, quantity } = line;
  const remove = () => act({ type: "order/quantity", item: line, quantity: 0, before: quantity, from: "basket" });
  return html`${canStep(line) ? stepper({ item: line, quantity, isFrozen: false, from: "basket", act }) : nothing}
    <button class="button quiet" aria-label=${t("basket.remove.label", { dish: name })} @click=${remove}>${t("basket.remove")}</button>`;
}

function troubleView(line, act) {
  const { trouble, available, quantity } = line;
  if (trouble === null) return nothing;
  if (trouble !== "fewer") return html`<p class="line-trouble">${icon("cross")}${t(trouble === "gone" ? "basket.gone" : "basket.off")}</p>`;
  const take = () => act({ type: "order/quantity", item: line, quantity: available, before: quantity, from: "basket" });
  return html`<p class="line-trouble fewer">${icon("warn")}${t("basket.fewer", { n: available })}
    <button class="button" @click=${take}>${t("basket.take", { n: available })}</button></p>`;
}

function noticeView({ tone, sentence, choices }, act) {
  return html`<div class="notice ${tone}" id="order-notice">${icon(tone === "info" ? "info" : "warn")}<p>${sentence}</p>
    ${choices.length ? html`<div class="row">${choices.map((choice) => choiceView(choice, act))}</div>` : nothing}</div>`;
}

const choiceView = ({ label, event, isMain }, act) =>
  html`<button class="button ${isMain ? "main" : ""}" @click=${() => act(event)}>${label}</button>`;

/** The button stays where it is in every state, and says why it cannot be pressed. */
function orderButton({ lines, state, notice, act }) {
  const { name } = state.machine;
  if (name === "sending") return sendingButton();
  if (isPending(state.machine) || name === "broken") return nothing;
  const reason = blockedBy(lines, state);
  const label = lines.length ? t("order.now", { total: money(totalOf(lines)) }) : t("order.now.empty");
  const press = () => reason === null && act({ type: "order/press" });
  return html`<button class="button primary wide order-button" id="order" aria-disabled=${reason !== null}
      aria-describedby=${reason ? "order-reason" : notice ? "order-notice" : nothing} @click=${press}>${label}</button>
    ${reason ? html`<p class="order-reason small muted" id="order-reason">${reason}</p>` : nothing}`;
}

function sendingButton() {
  return html`<button class="button primary wide order-button is-sending" id="order" aria-disabled="true">
    ${icon("spinner", "spin")}${t("order.sending")}</button>`;
}

function blockedBy(lines, { machine, pulse }) {
  if (lines.length === 0) return t("basket.empty");
  const pause = pauseOf(pulse, now());
  if (pause) return pauseText(pause);
  if (machine.name === "received") return t("basket.blocked.received");
  const isTroubled = lines.some(({ trouble }) => trouble !== null);
  return isTroubled ? t("basket.blocked.trouble") : null;
}

/** Signing in, where the basket is; nothing of the basket is lost. */
function signInView({ state, act }) {
  const { machine } = state;
  const isKept = machine.name === "signin" && machine.isStored;
  const title = machine.name === "signin" ? t("order.sign_in") : t("order.sign_in.orders");
  const hint = isKept ? t("order.sign_in.kept", { id: state.lastStudent }) : state.demoHint;
  const n = portionsOf(machine.lines);
  const sum = t("basket.toggle", { n, total: money(totalOf(machine.lines)) });
  return html`<div class="sign-in stack">${n > 0 ? html`<p class="muted">${sum}</p>` : nothing}${loginView({ state: state.login, act, t, title, hint })}
    ${isKept || state.login.status === "other" ? nothing : html`<button class="button quiet" @click=${() => act({ type: "sign-in/close" })}>${icon("back")}${t("order.sign_in.back")}</button>`}
  </div>`;
}

export function accountView({ state, act }) {
  const { who, panel } = state;
  if (who) return panel ? panel.accountView({ state: state.account, who, act, t }) : nothing;
  if (!state.isSessionKnown || state.isSigningIn) return nothing;
  return html`<button class="button quiet" id="sign-in" @click=${() => act({ type: "sign-in/open" })}>${t("page.sign_in")}</button>`;
}

export const sideView = ({ state, act }) => (state.isSigningIn ? signInView({ state, act }) : basketView({ state, act }));

/** What the page says about an order that is not placed, and what can be done then. */
export function noticeOf({ machine, menu }) {
  return NOTICES[machine.name]?.(machine, menu) ?? null;
}

const NOTICES = {
  ready: (machine) => (machine.why === "storage" ? bad(t("order.storage")) : null),
  waiting: (machine, menu) => warn(WAITING[machine.why](machine, menu), waitingChoices(machine)),
  unsure: (machine) => warn(unsureText(machine), waitingChoices(machine)),
  parked(machine) {
    const key = machine.goal === "cancel" ? "order.offline.cancelling" : "order.offline";
    return warn(t(key), waitingChoices(machine).slice(1));
  },
  received: ({ lines }) => (lines.length ? { tone: "info", sentence: t("basket.blocked.received"), choices: [] } : null),
  refused: (machine, menu) => REFUSED[codeOf(machine.problem)](machine, menu),
  broken: ({ problem }) => bad(t("order.broken", { request_id: problem.request_id ?? "–" }), [
    { label: t("order.broken.again"), event: { type: "order/back" } },
  ]),
  lapsed: ({ sentAt }) => warn(t("order.lapsed", { time: day(sentAt) }), []),
};

const warn = (sentence, choices) => ({ tone: "warn", sentence, choices });
const bad = (sentence, choices = []) => ({ tone: "bad", sentence, choices });

const WAITING = {
  busy: ({ until, problem }) => (BUSY[codeOf(problem)] ?? BUSY.overloaded)(countdown(until), problem),
  session: ({ until }) => t("order.session", { s: countdown(until) }),
  limit({ until, problem, lines }) {
    const dishes = namesOf(problem?.item_ids, lines);
    const wait = waitText(countdown(until));
    return dishes ? t("order.limit.dish", { dishes, wait }) : t("order.limit", { wait });
  },
};

const BUSY = {
  overloaded: (s) => t("order.busy", { s }),
  "kitchen-full": (s, { orders_in_progress: n }) => t("order.full", { n: n ?? 0, s }),
  "intake-paused": (s, { reopens_at: at }) => (at ? t("order.paused.until", { time: time(at) }) : t("order.paused", { s })),
};

const waitText = (s) => (s < 100 ? t("order.limit.wait_s", { n: s }) : t("order.limit.wait_min", { n: Math.ceil(s / 60) }));

function unsureText({ goal, until }) {
  const s = countdown(until);
  if (goal === "cancel") return t("order.cancelling", { s });
  return s > 0 ? t("order.unsure", { s }) : t("order.unsure.now");
}

function waitingChoices(machine) {
  const again = { label: t("order.try"), event: { type: "order/try" }, isMain: true };
  const change = { label: t("order.change"), event: { type: "order/change" } };
  const cancel = { label: t("order.cancel"), event: { type: "order/cancel" } };
  return [again, ...(canChange(machine) ? [change] : []), ...(canCancel(machine) ? [cancel] : [])];
}

const REFUSED = {
  "out-of-stock"({ problem, lines }, menu) {
    const gone = goneOf(problem, lines, menu);
    const dishes = namesOf(gone, lines);
    return bad(dishes ? t("refused.stock", { dishes }) : t("tracker.rejected.stock"), removing(gone, lines));
  },
  "unknown-item"({ problem, lines }, menu) {
    const gone = goneOf(problem, lines, menu);
    const dishes = namesOf(gone, lines);
    return bad(dishes ? t("refused.item", { dishes }) : t("refused.item.unknown"), removing(gone, lines));
  },
  expired: () => bad(t("refused.expired")),
};

/** The items that were refused. A refusal that came by the stream does not name them: then the newest menu tells. */
function goneOf(problem, lines, menu) {
  if (problem.item_ids?.length) return problem.item_ids;
  return judge(lines, menu.items).filter(({ trouble }) => trouble !== null).map(({ item_id }) => item_id);
}

function namesOf(ids, lines) {
  return lines.filter(({ item_id }) => ids?.includes(item_id)).map(({ name }) => name).join(", ");
}

function removing(gone, lines) {
  const rest = lines.filter(({ item_id }) => !gone.includes(item_id));
  const other = { label: t("refused.other"), event: { type: "order/other" } };
  const canOrderRest = rest.length > 0 && rest.length < lines.length;
  return canOrderRest ? [{ label: t("refused.rest"), event: { type: "order/rest", lines: rest }, isMain: true }, other] : [other];
}
