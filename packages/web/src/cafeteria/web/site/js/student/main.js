/**
 * The student page, up to its first picture: the menu, which anybody may read. What orders need is loaded right behind
 * it (`ordering.js`), so that the menu is there after few requests.
 */
import { ask } from "../api.js";
import { every, now } from "../clock.js";
import { session } from "../session.js";
import { announce, page } from "../ui.js";
import { speak, t } from "../words.js";
import { shellView } from "./page_view.js";

const SIGNED_IN_MS = 5_000;
const SIGNED_OUT_MS = 15_000; // many look at the menu before they sign in
const LONGEST_PAUSE_MS = 5_000;
const SLOW_MENU_MS = 1_000;
const ORDER_ID = /^#order\/([0-9a-f-]{36})$/;

await speak("student");

const app = page({
  root: { header: document.getElementById("header"), main: document.getElementById("main") },
  init: {
    route: routeOf(location.hash), menu: { items: null, at: null, failures: 0, nextAt: 0 }, find: "", who: null, isSessionKnown: false,
    isOffline: !navigator.onLine, silences: 0, machine: { name: "empty", lines: [] }, isFrozen: false, isSigningIn: false,
    link: null, parts: null, isPartial: false,
  },
  view: shellView,
  act: (state, event) => {
    const after = FIRST[event.type]?.(state, event) ?? state;
    return after.parts ? after.parts.reduce(after, event) : after;
  },
  changed,
});

/** The events of the first picture; those of orders are in `model.js`. */
const FIRST = {
  menu: (state, { answer, nextAt }) => state.isMenuPushed ? state : connected({ ...state, menu: menuAfter(state.menu, answer, nextAt) }, answer),
  find: (state, { text }) => ({ ...state, find: text }),
  route: (state, { route }) => ({ ...state, route }),
  online: (state) => ({ ...state, silences: 0, isOffline: false }),
  offline: (state) => ({ ...state, isOffline: true }),
  parts: (state, { parts }) => ({ ...state, ...parts.initial(), parts }),
  partial: (state) => ({ ...state, isPartial: true }),
  "session-known": (state) => ({ ...state, isSessionKnown: true }),
  tick: (state) => ({ ...state }),
};

function menuAfter(menu, answer, nextAt) {
  if (answer.status !== 200) return { ...menu, failures: menu.failures + 1, nextAt };
  return { items: answer.data.items, at: answer.at, failures: 0, nextAt };
}

/** Offline: the browser says so, or two requests in a row had no answer while no stream is open either. */
function connected(state, { status }) {
  const silences = status === 0 ? state.silences + 1 : 0;
  const isSilent = silences >= 2 && state.link?.state !== "live";
  return { ...state, silences, isOffline: !navigator.onLine || isSilent };
}

const early = []; // presses before the rest is loaded

function changed(state, before, event) {
  if (!state.parts && event.type.startsWith("order/")) early.push(event);
  if (event.type === "menu/try") readMenu();
  if (state.route !== before.route) show(state.route, before.route);
  if (state.isOffline && !before.isOffline) announce(t("page.offline.spoken"));
  if (state.menu.failures === 1 && before.menu.failures === 0) announce(t("menu.failed.spoken"));
  before.parts?.changed(state, before, event);
}

function routeOf(hash) {
  const id = ORDER_ID.exec(hash)?.[1];
  if (id) return { name: "order", id };
  return { name: { "#orders": "orders", "#help": "help" }[hash] ?? "menu" };
}

const HEADINGS = { menu: "#menu-title", order: "#tracker-title", orders: "#past-title", help: "#help-title" };
let menuScroll = 0;

/** A section is begun at its head, and the menu goes on where it was left. */
function show({ name }, before) {
  if (before.name === "menu") menuScroll = scrollY;
  requestAnimationFrame(() => {
    document.querySelector(HEADINGS[name])?.focus({ preventScroll: true });
    scrollTo(0, name === "menu" ? menuScroll : 0);
  });
}

let menuTimer = 0;
let isReading = false;
let isMissed = false;

async function readMenu() {
  if (isReading || app.state.isMenuPushed) return; // the stream tells what changes
  isReading = true;
  clearTimeout(menuTimer);
  const answer = await ask("/v1/menu", { renew: false });
  isReading = false;
  const waitMs = menuPause(answer);
  menuTimer = setTimeout(() => (isMissed = document.visibilityState === "hidden") || readMenu(), waitMs);
  app.act({ type: "menu", answer, nextAt: now() + waitMs });
}

/** A fifth more or less by chance, so that a thousand pages do not ask together. */
function menuPause({ status, retryAfterS }) {
  const failures = app.state.menu.failures + 1;
  const regular = app.state.who ? SIGNED_IN_MS : SIGNED_OUT_MS;
  const failed = Math.max(1000 * (retryAfterS ?? 0), Math.min(1000 * 2 ** failures, LONGEST_PAUSE_MS));
  return (status === 200 ? regular : failed) * (0.8 + 0.4 * Math.random());
}

document.addEventListener("visibilitychange", () => isMissed && document.visibilityState === "visible" && readMenu());
addEventListener("hashchange", () => location.hash !== "#main" && app.act({ type: "route", route: routeOf(location.hash) })); // the skip link's
for (const type of ["online", "offline"]) addEventListener(type, () => app.act({ type }));
addEventListener("online", readMenu);
every(1000, () => (app.state.menu.failures > 0 || app.state.parts?.counts(app.state, now())) && app.act({ type: "tick" }));
setTimeout(() => app.state.menu.items === null && announce(t("menu.loading")), SLOW_MENU_MS);

readMenu();
const rest = import("./ordering.js").catch(() => app.act({ type: "partial" })); // the network was lost in between
const [ordering] = await Promise.all([rest, session.start()]);
app.act({ type: "session-known" });
ordering?.start(app, { readMenu });
for (const event of early.splice(0)) app.act(event);
