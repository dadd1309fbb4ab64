/** The operator's page: its state, its sections by the address's hash, and what goes on by itself. */

import { accountModel } from "../account_view.js";
import { every, now } from "../clock.js";
import { loginModel } from "../login_view.js";
import { session } from "../session.js";
import { announce, focusOn, page } from "../ui.js";
import { speak, t } from "../words.js";
import { actions as DEMO_ACTIONS } from "./demo_actions.js";
import { emptyDemo } from "./demo_model.js";
import { healthView, slowSentence } from "./health_view.js";
import { access, changes, emptyNow, forgotten } from "./model.js";
import { bound } from "./part.js";
import { closed, emptyPeople } from "./people_model.js";
import { startPolling } from "./polling.js";
import { shellView, title } from "./shell_view.js";
import { emptyStock } from "./stock_model.js";
import { emptyTracing } from "./trace_model.js";

const TICK_MS = 1_000;
const STOCK_MS = 2_000;

/** The sections beside the first one are loaded after it: an operator looks at the services first. */
const SECTIONS = {
  stock: () => Promise.all([import("./stock_view.js"), import("./stock_actions.js")]),
  people: () => Promise.all([import("./people_view.js"), import("./people_actions.js")]),
  order: () => Promise.all([import("./trace_view.js"), import("./trace_actions.js")]),
  demo: () => Promise.all([import("./demo_view.js"), import("./demo_actions.js")]),
};
const views = { now: healthView };

await speak("ops");
/** The page's state, for actions that are made before the page is. */
const live = {
  get state() {
    return app.state;
  },
};
const set = (values) => app.act((state) => ({ ...state, ...values }));
const update = (part, change, ...values) => app.act((state) => ({ ...state, [part]: change(state[part], ...values) }));

/** All actions are here before the first view is drawn: no press is lost. */
const does = {
  ...bound(live, update, "demo", DEMO_ACTIONS),
  login: (event) => update("login", loginModel.act, event),
  account: (event) => update("account", accountModel.act, event),
  signOut: () => session.signOut(),
  ask: (asked) => {
    const before = app.state.asked;
    set({ asked });
    focusOn(asked ? "#yes" : `#${before}`);
  },
  toggleTable: () => update("now", (picture) => ({ ...picture, hasTable: !picture.hasTable })),
  togglePause: () => update("now", (picture) => ({ ...picture, pausedAt: picture.pausedAt === null ? now() : null })),
};

const app = page({
  root: { header: document.getElementById("header"), main: document.getElementById("main") },
  init: {
    section: "now",
    view: healthView,
    clock: now(),
    who: null,
    asked: null,
    now: emptyNow(),
    stock: emptyStock(),
    people: emptyPeople(),
    order: emptyTracing(),
    demo: emptyDemo(),
    login: loginModel.init(),
    account: accountModel.init(),
  },
  view: (state) => shellView(state, does),
  act: (state, change) => change(state),
  changed,
});

/** What changed is said once, and stands in the tab's title. */
function changed(state, before) {
  if (state.now !== before.now) {
    document.title = title(state);
    for (const change of changes(before.now, state.now)) speakOf(change, state.now);
  }
  if (before.demo.crowd?.state === "running" && state.demo.crowd?.state === "ended") announce(t("ops.crowd.ended.spoken"));
}

const SPOKEN = {
  ready: "ops.spoken.ready",
  down: "ops.spoken.down",
  silent: "ops.spoken.silent",
  "not-ready": "ops.spoken.not-ready",
  normal: "ops.spoken.normal",
};

function speakOf({ what, service }, picture) {
  const sentence = what === "slow" ? slowSentence(service, picture.rows[service].slow) : t(SPOKEN[what], { service });
  announce(sentence, { urgent: what === "slow" || what === "down" || what === "silent" });
}

/** The view of a section; its actions are there with it. */
async function load(section) {
  if (!views[section]) {
    const [{ view }, { actions }] = await SECTIONS[section]();
    Object.assign(does, bound(live, update, section, actions));
    views[section] = view;
  }
  return views[section];
}

/** Shows `#now`, `#stock`, `#people`, `#people/210041101`, `#order/<id>` or `#demo`. `#main` is the skip link's: the section stays. */
async function route({ isMoved = false } = {}) {
  const [name, id] = location.hash.slice(1).split("/");
  if (name === "main") return undefined;
  const section = Object.hasOwn(SECTIONS, name) ? name : "now";
  try {
    set({ view: await load(section), section, asked: null });
  } catch {
    return announce(t("ops.section.failed"), { urgent: true });
  }
  if (isMoved) focusOn("#title");
  return app.state.who ? read(section, id) : undefined;
}

function read(section, id) {
  if (section === "stock") return does.readStock();
  if (section === "order") return id ? does.openOrder(id) : does.closeOrder();
  if (section !== "people") return undefined;
  if (id) return does.openPerson(id);
  update("people", closed);
  return does.search();
}

function onSession({ who, reason, other }) {
  app.act((state) => ({
    ...state,
    who,
    now: forgotten(state.now),
    login: who ? loginModel.init() : loginModel.act(state.login, { type: "login/ended", reason, other }),
  }));
  if (who) begin().catch(() => {}); // a section that could not be loaded is loaded when it is opened
}

/** The other sections are here before the edge may be switched off, and what was open of the store goes on. */
async function begin() {
  route();
  await load("stock");
  await does.resume();
  await Promise.all([load("people"), load("order"), load("demo")]);
}

function isStockShown({ section, now: picture, who }) {
  return who !== null && section === "stock" && picture.pausedAt === null;
}

session.subscribe(onSession);
addEventListener("hashchange", () => route({ isMoved: true }));
await session.start();
if (!session.who) await route();
startPolling(app, update);
every(STOCK_MS, () => (isStockShown(app.state) ? does.readStock() : undefined));
every(TICK_MS, () => {
  set({ clock: now() });
  does.login({ type: "tick" });
  does.account({ type: "tick" });
  return access(app.state.now) === "in" ? does.retry?.() : undefined;
});
