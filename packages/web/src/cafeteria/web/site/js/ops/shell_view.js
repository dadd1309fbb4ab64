/** The frame of every section: the header, and what is shown to those who may not see the sections. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { accountView } from "../account_view.js";
import { loginView } from "../login_view.js";
import { headerView, icon, linkState } from "../ui.js";
import { t, time } from "../words.js";
import { notice, once } from "./controls.js";
import { isPresent } from "./demo_model.js";
import { access, newest, slow, troubled } from "./model.js";

const STALE_MS = 3_000;

export function shellView(state, does) {
  return { header: header(state, does), main: html`<div class="page">${content(state, does)}</div>` };
}

/** The state in the tab's title, so that it is seen from another tab. */
export function title({ now }) {
  if (slow(now).length) return t("ops.title.slow");
  const away = troubled(now);
  return away.length ? t("ops.title.away", { services: away.join(", ") }) : t("ops.title");
}

function header(state, does) {
  const isIn = isShown(state);
  return headerView({
    name: t("ops.brand"),
    home: "#now",
    sections: isIn ? sections(state) : [],
    label: t("ops.nav.label"),
    state: isIn ? updates(state, does) : nothing,
    account: accountView({ state: state.account, who: state.who, act: does.account, t }),
  });
}

function sections({ section, demo }) {
  const all = [["now", t("ops.nav.now")], ["stock", t("ops.nav.stock")], ["people", t("ops.nav.people")], ["order", t("ops.nav.order")]];
  const shown = isPresent(demo) ? [...all, ["demo", t("ops.nav.demo")]] : all;
  return shown.map(([name, label]) => ({ href: `#${name}`, label, isCurrent: name === section }));
}

/** How old the picture is, and the button that holds it. */
function updates({ now, clock }, does) {
  const isPaused = now.pausedAt !== null;
  return html`${linkState({ isLive: !isPaused && !isStale(now, clock), text: pictureAge(now, clock) })}
    <button type="button" class="button" id="pause" @click=${does.togglePause}>${icon(isPaused ? "play" : "pause")}
      ${t(isPaused ? "ops.resume" : "ops.pause")}</button>`;
}

const isStale = (now, clock) => clock - (newest(now) ?? 0) > STALE_MS;

function pictureAge(now, clock) {
  const at = newest(now);
  if (now.pausedAt !== null) return t("ops.paused", { time: time(now.pausedAt, { seconds: true }) });
  if (at === null) return t("ops.loading");
  if (isStale(now, clock)) return t("ops.stale", { s: Math.round((clock - at) / 1000) });
  return t("ops.live", { time: time(at, { seconds: true }) });
}

/** Are the sections shown? Also while no service answers: that is what an operator has to see. */
export const isShown = ({ now }) => ["in", "nobody", "loading"].includes(access(now));

function content(state, does) {
  const right = access(state.now);
  if (right === "forbidden") return forbidden(state, does);
  if (right === "out") return signedOut(state, does);
  return state.view(state, does);
}

function forbidden({ who }, does) {
  return html`<section class="card stack narrow">
    <h1 tabindex="-1" id="title">${t("ops.forbidden.title")}</h1>
    <p>${who ? t("ops.forbidden.who", { id: who.student_id }) : nothing} ${t("ops.forbidden.text")}</p>
    <button type="button" class="button primary" @click=${does.signOut}>${t("ops.forbidden.button")}</button>
  </section>`;
}

/** Without identity nobody can sign in; where this is a demo, its switch is offered here. */
function signedOut(state, does) {
  const { now, demo, login } = state;
  const isIdentityAway = ["down", "silent"].includes(now.rows.identity.kind);
  const hint = isPresent(demo) ? t("ops.login.hint") : "";
  return html`<div class="stack narrow">
    <h1 class="visually-hidden">${t("ops.title")}</h1>
    ${isIdentityAway ? identityAway(state, does) : nothing}
    ${loginView({ state: login, act: does.login, t, title: t("ops.login.title"), hint, inputMode: "text", idLabel: t("ops.login.id") })}
  </div>`;
}

function identityAway({ demo }, does) {
  const start = () => does.member("identity", "on");
  const busy = demo.busy.identity !== undefined;
  const button = isPresent(demo) ? once({ id: "start-identity", label: t("ops.identity-away.start"), act: start, busy }) : nothing;
  return notice("bad", "cross", html`<div class="spread"><span>${t("ops.identity-away")}</span>${button}</div>`);
}
