/** The board of the hall: puts state, view and effects together. */

import { every, now } from "../clock.js";
import { keepAwake, makeWatch } from "../kitchen/watch.js";
import { session } from "../session.js";
import { announce, page } from "../ui.js";
import { speak, t } from "../words.js";
import { PAGE_MS, act, additions, initial, trustOf } from "./model.js";
import { boardView, headView } from "./view.js";

const EVERY_MS = 1_500; // a kitchen that is away is named within two seconds
const SPOKEN = 5; // codes in one sentence
let forms = null; // signing in and the account: a board that is signed in shows its numbers first

await speak("board");
const app = page({
  root: { header: document.getElementById("header"), main: document.getElementById("main") },
  init: { ...initial(now()), login: null, account: null },
  act: (state, event) => withForms(act(state, event), event),
  view: (state, dispatch) => ({ header: headView(state, account(state, dispatch)), main: boardView(state, dispatch, login(state, dispatch)) }),
  changed,
});
const watch = makeWatch(app, { everyMs: EVERY_MS, lists: () => ["IN_KITCHEN", "READY"] });
await begin();

async function begin() {
  keepAwake();
  session.subscribe((change) => {
    app.act({ type: "login/ended", ...change });
    app.act({ type: "who", who: change.who });
  });
  document.addEventListener("keydown", onKey);
  app.act({ type: "who", who: await session.start() });
  every(1_000, () => app.act({ type: "tick", now: now() }));
  every(PAGE_MS, () => app.act({ type: "turn" }));
  const [{ loginModel, loginView }, { accountModel, accountView }] = await Promise.all([import("../login_view.js"), import("../account_view.js")]);
  forms = { loginModel, loginView, accountModel, accountView };
  app.act({ type: "forms" });
}

function withForms(state, event) {
  if (forms === null) return state;
  const login = state.login === null ? forms.loginModel.init() : forms.loginModel.act(state.login, event);
  const account = state.account === null ? forms.accountModel.init() : forms.accountModel.act(state.account, event);
  return login === state.login && account === state.account ? state : { ...state, login, account };
}

function account(state, dispatch) {
  return state.account && forms.accountView({ state: state.account, who: state.who ?? null, act: dispatch, t });
}

function login(state, dispatch) {
  const labels = { title: t("board.login.title"), idLabel: t("board.login.id"), inputMode: "text" };
  return state.login && forms.loginView({ state: state.login, act: dispatch, t, ...labels });
}

function changed(state, before, event) {
  if (state.who !== before.who) watch.restart();
  if (event.type === "picture") speakAdditions(additions(before.picture, state.picture));
  const [is, was] = [state, before].map(trustOf);
  if (is === "stale" && was !== "stale" && state.who) announce(t("board.stale"), { urgent: true });
}

function speakAdditions(codes) {
  if (codes.length === 0) return;
  const spoken = codes.slice(0, SPOKEN).map((code) => [...code].join(" "));
  const more = codes.length - spoken.length;
  announce(t(more ? "board.spoken.more" : "board.spoken.ready", { codes: spoken.join(", "), n: more }));
}

/** Space stops the pages where there are several; on a control it has the control's own meaning. */
function onKey(event) {
  const isControl = event.target.closest("button, input, summary, a") !== null;
  if (event.key !== " " || isControl || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  app.act({ type: "pause" });
}
