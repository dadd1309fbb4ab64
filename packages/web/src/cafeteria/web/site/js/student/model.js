/** What the page knows of a student and their orders, and how events change it. Pure. */
import { loginModel } from "../login_view.js";
import { EMPTY, isFrozen } from "../machine.js";
import { active, hasEnded, withAnswer, withEvent } from "../orders.js";
import { silenceOf, withChanges, withTold } from "./canteen.js";

export function initial() {
  return {
    machine: EMPTY, isFrozen: false, orders: {}, past: noPast(), cancels: {}, absent: {}, kept: null, link: null, lostAt: null,
    login: loginModel.init(), account: null, panel: null, isSigningIn: false, wantsSignIn: false, isBasketOpen: false,
    lastStudent: null, demoHint: "", canNotify: "denied", pulse: null, told: {}, isMenuPushed: false,
  };
}

const noPast = () => ({ isLoading: false, hasFailed: false, cursor: undefined });

export function reduce(state, event) {
  const after = EVENTS[event.type]?.(state, event) ?? state;
  const login = loginModel.act(after.login, event);
  const account = after.panel ? after.panel.accountModel.act(after.account, event) : null;
  return login === after.login && account === after.account ? after : { ...after, login, account };
}

const EVENTS = {
  /** A change of the session. What a student saw is nobody else's to see. */
  session(state, { who, reason, other }) {
    const login = loginModel.act(state.login, { type: "login/ended", reason, other });
    const isSame = who === null || who.student_id === state.lastStudent;
    const kept = isSame && reason !== "signed-out" ? {} : { orders: {}, past: noPast(), cancels: {}, kept: null, told: {} };
    const wantsSignIn = reason === "expired" || reason === "other-person";
    return signing({ ...state, ...kept, who, login, wantsSignIn, lastStudent: who?.student_id ?? state.lastStudent });
  },

  machine(state, { machine }) {
    const isPlaced = ["accepted", "received"].includes(machine.name) && machine.name !== state.machine.name;
    const isBasketOpen = machine.lines.length > 0 && !isPlaced && state.isBasketOpen;
    return signing({ ...state, machine, isFrozen: isFrozen(machine), isBasketOpen });
  },

  placed: (state, { order }) => ({ ...state, orders: withAnswer(state.orders, order), kept: order.id }),
  stage: (state, { event }) => withOrders(state, withEvent(state.orders, event)),
  order: (state, { order }) => withOrders(state, withAnswer(state.orders, order)),
  absent: (state, { id, status }) => ({ ...state, absent: { ...state.absent, [id]: status } }),
  link(state, { link, at }) {
    const isLive = link.state === "live";
    return { ...state, link, lostAt: link.state === "reconnecting" ? state.lostAt ?? at : null, isMenuPushed: isLive && state.isMenuPushed };
  },
  "canteen/menu"(state, { items, at }) {
    return { ...state, isMenuPushed: true, menu: { items: withChanges(state.menu.items, items), at, failures: 0, nextAt: 0 } };
  },
  "canteen/pulse"(state, { data, at }) {
    return { ...state, pulse: { data, heardAt: at }, told: withTold(state.told, state.orders, data.kitchen, at) };
  },

  "past/asked": (state) => ({ ...state, past: { ...state.past, isLoading: true, hasFailed: false } }),
  "past/answered"(state, { answer, isFirst }) {
    if (answer.status !== 200) return { ...state, past: { ...state.past, isLoading: false, hasFailed: true } };
    const { items, next_cursor: next } = answer.data;
    const orders = items.reduce(withAnswer, state.orders);
    // a look at the newest does not turn the pages back
    const cursor = isFirst && state.past.cursor !== undefined ? state.past.cursor : next;
    return { ...state, orders, past: { isLoading: false, hasFailed: false, cursor } };
  },

  cancel: (state, { id, cancel }) => ({ ...state, cancels: { ...state.cancels, [id]: cancel } }),
  "basket/toggle": (state) => ({ ...state, isBasketOpen: !state.isBasketOpen }),
  "order/change": (state) => ({ ...state, isBasketOpen: true }),
  "order/dismiss": (state, { id }) => (state.kept === id ? { ...state, kept: null } : state),
  "sign-in/open": (state) => signing({ ...state, wantsSignIn: true }),
  "sign-in/close": (state) => signing({ ...state, wantsSignIn: false }),
  panel: (state, { panel }) => ({ ...state, panel, account: panel.accountModel.init() }),
  demo: (state, { hint }) => ({ ...state, demoHint: hint }),
  notify: (state, { permission }) => ({ ...state, canNotify: permission }),
};

const withOrders = (state, orders) => (orders === state.orders ? state : { ...state, orders });

/** The sign-in stands where the basket is: for an order that waits for it, or because somebody asked. */
function signing(state) {
  return { ...state, isSigningIn: state.machine.name === "signin" || state.wantsSignIn };
}

/** The order that the page shows in full: the one of the address, else the most urgent, else the one just placed. */
export function shownOrder({ route, orders, kept }, now) {
  if (route.name === "order") return orders[route.id] ?? null;
  return active(orders, now)[0] ?? orders[kept] ?? null;
}

/** The orders that the menu leads to: all that are under way, and the one just placed, however it ended. */
export function orderCards({ orders, kept }, now) {
  const underWay = active(orders, now);
  const ended = orders[kept];
  return ended && hasEnded(ended) ? [ended, ...underWay] : underWay;
}

/** Whether the page says seconds that pass. */
export function counts({ machine, login, cancels, link, who, account, pulse }, now) {
  const isWaiting = Object.values(cancels).some((cancel) => cancel?.step === "silent");
  const isAway = who !== null && link !== null && link.state !== "live";
  const isLimited = login.status === "too-many" || login.status === "away" || account?.password === "too-many";
  return silenceOf(pulse, now) > 0 || machine.until !== null || isWaiting || isAway || isLimited;
}
