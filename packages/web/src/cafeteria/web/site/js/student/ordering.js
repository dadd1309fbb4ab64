/** Everything behind the first picture: the session, the basket and the order, the live stream, and what is announced. */
import { ask } from "../api.js";
import { every, now } from "../clock.js";
import { isPending } from "../machine.js";
import { withQuantity } from "../menu.js";
import { active, lacking } from "../orders.js";
import { session } from "../session.js";
import { stopSigningIn } from "../login_view.js";
import { announce, focusOn } from "../ui.js";
import { t } from "../words.js";
import { announcer, notifyReady, permission, showTitle } from "./announcements.js";
import { accountView, sideView } from "./basket_view.js";
import { startCanceller } from "./canceller.js";
import { startCourier } from "./courier.js";
import { counts, initial, reduce } from "./model.js";
import { helpView, nowView, ordersView } from "./orders_view.js";
import { paceView } from "./ready_view.js";

const ORDERS_MS = 5_000;
const PAGE = 10;
const SENDING_SPOKEN_MS = 800;
const LOST_SPOKEN_MS = 5_000;
const FAILED_AGAIN = new Set([0, 500, 502, 503, 504]);

export async function start(app, { readMenu }) {
  const self = { app, readMenu, announcements: announcer(), stream: null, asking: new Set(), timers: {} };
  self.canceller = startCanceller({
    onStep: (id, cancel) => app.act({ type: "cancel", id, cancel }),
    onOrder: (order) => app.act({ type: "order", order }),
  });
  self.courier = startCourier({
    onMachine: (machine) => app.act({ type: "machine", machine }),
    onOrder: (order) => app.act({ type: "placed", order }),
    onCancel: self.canceller.cancel,
  });
  const views = { accountView, nowView, sideView, helpView, ordersView, paceView };
  app.act({ type: "parts", parts: { ...views, initial, reduce, counts, changed: (...change) => changed(self, ...change) } });
  app.act({ type: "notify", permission: permission() });
  session.keepWhile(() => hasOpenOrder(self));
  session.subscribe((change) => app.act({ type: "session", ...change }));
  app.act({ type: "session", who: session.who, reason: "started", other: null });
  every(ORDERS_MS, () => lookAfter(self), { jitterMs: 1000 });
}

const hasOpenOrder = ({ app }) => isPending(app.state.machine) || active(app.state.orders, now()).length > 0;

function changed(self, state, before, event) {
  EFFECTS[event.type]?.(self, event, state, before);
  if (event.type.startsWith("order/")) ORDER[event.type]?.(self, event, state);
  if (state.orders !== before.orders) ordersChanged(self, state, before);
  if (state.route !== before.route) routeChanged(self, state);
  if (state.isSigningIn && !before.isSigningIn) signInShown(self);
  for (const { text, urgent } of self.announcements(before, state)) announce(text, { urgent });
  showTitle(state);
}

const EFFECTS = {
  session(self, { reason }, { who, route }) {
    if (reason !== "expired" && reason !== "other-person") self.courier.belongTo(who?.student_id ?? null);
    follow(self, who);
    if (who) lookAtOrders(self, { isFirst: true });
    if (route.name === "order") lookAtOrder(self, route.id);
  },
  machine: (self, _, state, before) => machineChanged(self, state.machine, before.machine),
  link(self, { link }, state, before) {
    announceLoss(self, link);
    if (before.isMenuPushed && !state.isMenuPushed) self.readMenu();
  },
  placed(self, { order }) {
    self.readMenu();
    location.hash = `#order/${order.id}`;
  },
  "past/more": (self) => lookAtOrders(self, { isFirst: false }),
  "cancel/press": (self, { id }) => self.canceller.cancel(id),
  "cancel/stop": (self, { id }) => self.canceller.stop(id),
  "sign-in/close"(self) {
    stopSigningIn();
    self.courier.act({ type: "back" });
    focusOn("#basket-title");
  },
  "notify/ask": async ({ app }) => app.act({ type: "notify", permission: await Notification.requestPermission() }),
};

const ORDER = {
  "order/quantity"(self, { item, quantity, before, from }) {
    self.courier.edit((lines) => withQuantity(lines, item, quantity));
    if (before === 0) focusOn(`#${from}-more-${item.item_id}`);
    if (quantity === 0) focusOn(from === "menu" ? `#menu-add-${item.item_id}` : "#basket-title");
  },
  "order/press": (self) => self.courier.act({ type: "press" }),
  "order/try": (self) => self.courier.act({ type: "try" }),
  "order/change"(self) {
    self.courier.act({ type: "change" });
    focusOn("#basket-title");
  },
  "order/cancel": (self) => self.courier.act({ type: "cancel" }),
  "order/back": (self) => self.courier.act({ type: "back" }),
  "order/other"(self) {
    self.courier.act({ type: "back" });
    location.hash = "#menu";
    focusOn("#menu-title");
  },
  "order/rest"(self, { lines }) {
    self.courier.edit(() => lines);
    self.courier.act({ type: "press" });
  },
  "order/again"(self, { lines }, { menu }) {
    self.courier.edit((basket) => withOrder(basket, lines, menu.items ?? []));
    location.hash = "#menu";
    focusOn("#basket-title");
  },
};

/** The basket with the lines of an earlier order, where they are still on the menu. */
function withOrder(basket, lines, items) {
  const byId = new Map(items.map((item) => [item.item_id, item]));
  const add = (lines, { item_id, quantity }) => withQuantity(lines, byId.get(item_id), quantity);
  return lines.filter(({ item_id }) => byId.has(item_id)).reduce(add, basket);
}

function machineChanged(self, machine, before) {
  clearTimeout(self.timers.sending);
  if (machine.name === "sending") self.timers.sending = setTimeout(() => announce(t("order.sending.spoken")), SENDING_SPOKEN_MS);
  if (machine.name === "refused" && before.name !== "refused") self.readMenu();
}

function signInShown(self) {
  focusOn("#login-id");
  showDemo(self);
}

/** Only a demo has this address, and its accounts are no secret. */
async function showDemo({ app }) {
  if (app.state.demoHint) return;
  const { status } = await ask("/demo", { renew: false });
  if (status === 200) app.act({ type: "demo", hint: t("order.sign_in.demo", { password: "iftar-rush-2026" }) });
}

/** The stream and the account's panel are loaded when somebody is signed in. */
async function follow(self, who) {
  self.stream?.close();
  self.stream = null;
  if (!who) return;
  const loaded = await Promise.all([import("../share.js"), import("../account_view.js")]).catch(() => null);
  if (!loaded || self.stream || session.who?.student_id !== who.student_id) return;
  const [{ shareStream }, panel] = loaded;
  if (!self.app.state.panel) self.app.act({ type: "panel", panel });
  self.stream = shareStream({
    onEvent: (event) => takeIn(self, event),
    onState: (link) => self.app.act({ type: "link", link, at: now() }),
    isNeeded: () => hasOpenOrder(self),
    owner: who.student_id,
  });
}

function takeIn({ app }, { type, data }) {
  if (type === "order.status") app.act({ type: "stage", event: JSON.parse(data) });
  if (type === "menu.changed") app.act({ type: "canteen/menu", items: JSON.parse(data).items, at: now() });
  if (type === "canteen.pulse") app.act({ type: "canteen/pulse", data: JSON.parse(data), at: now() });
}

function ordersChanged(self, state, before) {
  for (const order of Object.values(state.orders)) {
    const was = before.orders[order.id];
    if (order === was) continue;
    const { id: orderId, version, status, reason } = order;
    self.courier.act({ type: "status", orderId, version, status, reason });
    if (status === "READY" && was && was.version < version) notifyReady(order);
  }
  fetchLacking(self);
}

function routeChanged(self, { route, past, who }) {
  if (route.name === "order") lookAtOrder(self, route.id);
  if (route.name === "orders" && past.hasFailed && who) lookAtOrders(self, { isFirst: true });
}

/** The stream tells stages alone: the lines come from the gateway. */
function fetchLacking(self) {
  for (const id of lacking(self.app.state.orders)) lookAtOrder(self, id);
}

async function lookAtOrder(self, id) {
  const { app, asking } = self;
  const known = app.state.orders[id];
  const isComplete = known && lacking({ [id]: known }).length === 0;
  if (!app.state.who || asking.has(id) || isComplete) return;
  asking.add(id);
  const answer = await ask(`/v1/orders/${id}`);
  if (answer.status === 200) app.act({ type: "order", order: answer.data });
  else app.act({ type: "absent", id, status: answer.status });
  asking.delete(id);
}

async function lookAtOrders({ app }, { isFirst }) {
  if (app.state.past.isLoading) return;
  const { cursor } = app.state.past;
  const after = isFirst || !cursor ? "" : `&cursor=${cursor}`;
  app.act({ type: "past/asked" });
  app.act({ type: "past/answered", isFirst, answer: await ask(`/v1/orders?limit=${PAGE}${after}`) });
}

/** While the stream is gone, the orders are asked for; and what could not be read is read again. */
function lookAfter(self) {
  const { who, link, past, route, absent } = self.app.state;
  if (!who) return;
  if (!self.stream) follow(self, who);
  const isGone = link !== null && link.state !== "live" && link.state !== "connecting";
  if (isGone || past.hasFailed) lookAtOrders(self, { isFirst: true });
  if (route.name === "order" && FAILED_AGAIN.has(absent[route.id])) lookAtOrder(self, route.id);
  fetchLacking(self);
}

function announceLoss(self, link) {
  if (link.state !== "reconnecting") return clearTimeout(self.timers.lost), (self.timers.lost = 0);
  self.timers.lost ||= setTimeout(() => announce(t("page.reconnecting.spoken")), LOST_SPOKEN_MS);
}
