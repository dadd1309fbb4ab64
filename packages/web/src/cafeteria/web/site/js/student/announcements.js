/**
 * How a student learns that something has changed: by a screen reader, each thing once; by the tab's title; and when the
 * food is ready by a notification and a short buzz.
 */
import { now } from "../clock.js";
import { codeOf } from "../machine.js";
import { levelOf } from "../menu.js";
import { nameOfOrder, numberOf } from "../short_code.js";
import { t } from "../words.js";
import { noticeOf } from "./basket_view.js";
import { shownOrder } from "./model.js";
import { sentenceOf, stageName } from "./orders_view.js";

const BUZZ_MS = 200;

/** One for each page: a wait that goes on is announced once. */
export function announcer() {
  let last = null;
  return (before, state) => {
    const machine = state.machine === before.machine ? [] : ofMachine(state, last);
    if (machine.length) last = machine[0].text;
    if (!["sending", "waiting", "unsure", "parked"].includes(state.machine.name)) last = null;
    return [...machine, ...ofOrders(before, state), ...ofCancels(before, state), ...ofMenu(before, state), ...ofSession(before, state)];
  };
}

const polite = (text) => ({ text, urgent: false });
const urgent = (text) => ({ text, urgent: true });

const KITCHENS = { "intake-paused": "order.paused.spoken", "kitchen-full": "order.full.spoken" };
const WAITING = { busy: "order.busy.spoken", session: "order.session.spoken" };

function ofMachine(state, last) {
  const text = MACHINE[state.machine.name]?.(state);
  if (!text || text === last) return [];
  const isUrgent = state.machine.name === "refused" || state.machine.name === "broken";
  return [isUrgent ? urgent(text) : polite(text)];
}

const sentence = (state) => noticeOf(state)?.sentence;

const MACHINE = {
  waiting({ machine }) {
    const kitchens = KITCHENS[codeOf(machine.problem)];
    if (machine.why !== "limit") return t((machine.why === "busy" && kitchens) || WAITING[machine.why]);
    return t(machine.problem?.item_ids?.length ? "order.limit.dish.spoken" : "order.limit.spoken");
  },
  unsure: ({ machine }) => t(machine.goal === "cancel" ? "order.cancelling.spoken" : "order.unsure.spoken"),
  parked: sentence,
  broken: sentence,
  lapsed: sentence,
  ready: sentence,
  /** A refusal that came by the stream is announced as the order's. */
  refused: (state) => (state.machine.problem.order_id || state.machine.problem.item_ids ? sentence(state) : null),
};

function ofOrders(before, state) {
  if (before.orders === state.orders) return [];
  const isNew = (order) => {
    const known = before.orders[order.id];
    return known ? order.version > known.version : order.id === state.kept && before.kept !== order.id;
  };
  return Object.values(state.orders).filter(isNew).map(ofOrder);
}

const ofOrder = (order) => {
  const code = spelled(order.pickup?.code ?? nameOfOrder(order));
  const number = numberOf(order);
  if (order.status === "READY") return urgent(t(number ? "tracker.ready.pickup.spoken" : "tracker.ready.spoken", { code, number }));
  if (order.status === "CANCELLED" && order.reason === "KITCHEN") return urgent(sentenceOf(order));
  if (order.status === "REJECTED") return urgent(sentenceOf(order));
  if (order.status === "STOCK_VERIFIED") return polite(t("tracker.accepted.spoken"));
  if (order.status !== "IN_KITCHEN") return polite(sentenceOf(order));
  return polite(number ? t("tracker.kitchen.number.spoken", { number }) : t("tracker.kitchen.spoken", { code }));
};

/** Read letter by letter. */
const spelled = (code) => [...code].join(" ");

const CANCELS = { late: "cancel.late", silent: "cancel.silent.spoken", "undecided-over": "cancel.undecided.over" };

function ofCancels(before, state) {
  if (before.cancels === state.cancels) return [];
  const isNew = ([id, cancel]) => cancel && CANCELS[cancel.step] && cancel.step !== before.cancels[id]?.step;
  return Object.entries(state.cancels).filter(isNew).map(([, { step }]) => polite(t(CANCELS[step])));
}

function ofMenu(before, state) {
  if (before.menu.items === state.menu.items || before.menu.items === null) return [];
  const was = new Map(before.menu.items.map((item) => [item.item_id, item]));
  const isGone = (item) => levelOf(item) === "gone" && was.has(item.item_id) && levelOf(was.get(item.item_id)) !== "gone";
  const mine = new Set(state.machine.lines.map(({ item_id }) => item_id));
  return state.menu.items.filter((item) => mine.has(item.item_id) && isGone(item)).map(({ name }) => polite(t("menu.gone.spoken", { dish: name })));
}

function ofSession(before, state) {
  if (before.login.status === state.login.status) return [];
  if (state.login.status === "expired") return [urgent(t("login.expired"))];
  return state.login.status === "other" ? [polite(t("login.other", { id: state.login.other }))] : [];
}

export function showTitle(state) {
  const order = shownOrder(state, now());
  const title = order ? t("page.title.order", { stage: stageName(order.status), code: nameOfOrder(order) }) : t("page.name");
  if (document.title !== title) document.title = title;
}

/** What the browser lets this page do; "denied" where it has no notifications. */
export const permission = () => globalThis.Notification?.permission ?? "denied";

export function notifyReady(order) {
  navigator.vibrate?.(BUZZ_MS);
  if (permission() !== "granted" || document.visibilityState === "visible") return;
  try {
    new Notification(t("ready.title"), { body: t("tracker.code", { code: nameOfOrder(order) }), tag: order.id });
  } catch {
    // Chrome on Android allows it from service workers alone; the title and the buzz remain
  }
}
