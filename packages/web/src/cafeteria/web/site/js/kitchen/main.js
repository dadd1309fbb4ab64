/** The kitchen page: puts state, views and effects together. Only this file and those it starts have effects. */

import { accountModel, accountView } from "../account_view.js";
import { every, now } from "../clock.js";
import { loginModel } from "../login_view.js";
import { session } from "../session.js";
import { typedCode } from "../short_code.js";
import { focusOn, headerView, keepAwake, page } from "../ui.js";
import { speak, t } from "../words.js";
import { announcer } from "./announcer.js";
import { sectionsOf, stateView } from "./frame_view.js";
import { followChosen, listenToKeys } from "./keyboard.js";
import { mainView } from "./main_view.js";
import { keep, leftBehind, makeSender } from "./sender.js";
import { clean, load, save } from "./settings.js";
import { act, firstSection, initial, sectionOf } from "./state.js";
import { findNamed, isNamed, wantedOf } from "./tickets.js";
import { makeWatch } from "./watch.js";

const LISTS = { line: ["QUEUED", "IN_KITCHEN"], counter: ["READY"], settings: [] };
const WIDE = matchMedia("(min-width: 720px)");

await speak("kitchen");
const app = page({
  root: { header: document.getElementById("header"), main: document.getElementById("main") },
  init: first(),
  act: (state, event) => {
    const next = act(state, event);
    const [login, account] = [loginModel.act(state.login, event), accountModel.act(state.account, event)];
    return login === state.login && account === state.account ? next : { ...next, login, account };
  },
  view,
  changed,
});
const sender = makeSender(app);
const watch = makeWatch(app, { everyMs: 1_000, lists: () => LISTS[app.state.section] });
const say = announcer();
await begin();

function first() {
  const section = firstSection(location.hash, WIDE.matches);
  const base = initial({ now: now(), mono: performance.now(), section, isWide: WIDE.matches });
  return { ...base, login: loginModel.init(), account: accountModel.init() };
}

function view(state, dispatch) {
  const account = accountView({ state: state.account, who: state.who ?? null, act: dispatch, t });
  const header = { name: t("kitchen.name"), home: "#line", label: t("kitchen.sections.label"), sections: sectionsOf(state) };
  return {
    header: headerView({ ...header, state: stateView(state), account }),
    main: mainView(state, dispatch, { onFind: find, onSettings: change }),
  };
}

async function begin() {
  listenToKeys(app);
  keepAwake();
  window.addEventListener("hashchange", () => app.act({ type: "section", section: sectionOf(location.hash) }));
  WIDE.addEventListener("change", () => app.act({ type: "wide", isWide: WIDE.matches }));
  session.subscribe(onSession);
  app.act({ type: "settings", settings: await load() });
  for (const note of await leftBehind()) app.act({ type: "note", note });
  app.act({ type: "who", who: await session.start() });
  every(1_000, () => app.act({ type: "tick", now: now(), mono: performance.now() }));
}

function onSession(changed) {
  app.act({ type: "login/ended", ...changed });
  app.act({ type: "who", who: changed.who });
  if (changed.reason === "expired") focusOn("#login-id");
}

function changed(state, before, event) {
  if (state.who !== before.who || state.section !== before.section) watch.restart();
  if (state.presses !== before.presses) {
    keep(state.presses);
    sender.plan();
  }
  const isDone = event.type === "answered" && state.presses.length < before.presses.length;
  if (isDone && document.activeElement?.closest("#found")) focusOn("#k-code"); // the next student is waiting
  followChosen(state, before);
  say(state, before, event);
}

function change(settings) {
  const next = clean({ ...app.state.settings, ...settings });
  app.act({ type: "settings", settings: next });
  save(next);
}

/** The tickets on the screen are looked through first: most codes are among them, and the answer is there at once. */
async function find(text) {
  const code = typedCode(text);
  const wanted = wantedOf(code);
  app.act({ type: "searching", code });
  if (wanted === null) return app.act({ type: "searchFailed", code, phase: "short" });
  const ready = [...app.state.tickets.values()].filter((ticket) => ticket.status === "READY" && isNamed(wanted)(ticket));
  const result = ready.length ? { found: ready } : await findNamed(wanted);
  app.act(result.found ? { type: "found", code, found: result.found } : { type: "searchFailed", code, phase: "failed" });
  focusOn(result.found?.length === 1 ? "#found button" : "#k-code");
}
