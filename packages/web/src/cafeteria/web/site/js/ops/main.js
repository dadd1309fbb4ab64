/** The operator's page: its state, its sections by the address's hash, and what goes on by itself. */

import { accountModel } from "../account_view.js";
import { every, now } from "../clock.js";
import { loginModel } from "../login_view.js";
import { session } from "../session.js";
import { announce, focusOn, page } from "../ui.js";
import { speak, t } from "../words.js";
import { DEMO_ACTIONS } from "./demo_actions.js";
import { emptyDemo } from "./demo_model.js";
import { healthView, slowSentence } from "./health_view.js";
import { access, changes, emptyNow, forgotten } from "./model.js";
import { bound } from "./part.js";
import { PEOPLE_ACTIONS } from "./people_actions.js";
import { closed, emptyPeople } from "./people_model.js";
import { startPolling } from "./polling.js";
import { shellView, title } from "./shell_view.js";
import { STOCK_ACTIONS } from "./stock_actions.js";
import { emptyStock } from "./stock_model.js";

const TICK_MS = 1_000;
const STOCK_MS = 2_000;
const VIEWS = {
  now: async () => healthView,
  stock: async () => (await import("./stock_view.js")).stockView,
  people: async () => (await import("./people_view.js")).peopleView,
  demo: async () => (await import("./demo_view.js")).demoView,
};

await speak("ops");
const does = {};
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
    demo: emptyDemo(),
    login: loginModel.init(),
    account: accountModel.init(),
  },
  view: (state) => shellView(state, does),
  act: (state, change) => change(state),
  changed,
});

const set = (values) => app.act((state) => ({ ...state, ...values }));
const update = (part, change, ...values) => app.act((state) => ({ ...state, [part]: change(state[part], ...values) }));

Object.assign(
  does,
  bound(app, update, "stock", STOCK_ACTIONS),
  bound(app, update, "people", PEOPLE_ACTIONS),
  bound(app, update, "demo", DEMO_ACTIONS),
  {
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
  },
);

/** What changed is said once, and stands in the tab's title. */
function changed(state, before) {
  if (state.now !== before.now) {
    document.title = title(state);
    for (const change of changes(before.now, state.now)) speakOf(change, state.now);
  }
  if (state.section === "demo" && before.demo.crowd?.state === "running" && state.demo.crowd?.state === "ended") {
    announce(t("ops.crowd.ended.spoken"));
  }
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

/** `#now`, `#stock`, `#people`, `#people/210041101`, `#demo`. */
async function route() {
  const [name, id] = location.hash.slice(1).split("/");
  const section = Object.hasOwn(VIEWS, name) ? name : "now";
  set({ section, view: await VIEWS[section](), asked: null });
  if (!app.state.who) return;
  if (section === "people") openPeople(id);
  if (section === "stock") does.readStock();
}

function openPeople(id) {
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
  if (who) does.resume().then(route);
}

function isStockShown({ section, now: picture, who }) {
  return who !== null && section === "stock" && picture.pausedAt === null;
}

session.subscribe(onSession);
addEventListener("hashchange", () => route().then(() => focusOn("#title")));
await session.start();
await route();
startPolling(app, update);
for (const view of Object.values(VIEWS)) view().catch(() => {}); // here before the edge is switched off
every(TICK_MS, () => {
  set({ clock: now() });
  does.login({ type: "tick" });
  does.account({ type: "tick" });
  if (access(app.state.now) === "in") return does.retry();
  return undefined;
});
every(STOCK_MS, () => (isStockShown(app.state) ? does.readStock() : undefined));
