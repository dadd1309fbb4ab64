/** One account: its state, what an operator may do with it, the devices that are signed in, and the attempts to sign in. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { deviceOf } from "../account_model.js";
import { icon } from "../ui.js";
import { day, t } from "../words.js";
import { choice, field, notice, once, refusalNotice, submitted, twice } from "./controls.js";
import { PERSON_REFUSALS } from "./refusals.js";

const DONE = {
  name: "ops.person.done.name", role: "ops.person.done.role", disable: "ops.person.done.disable", enable: "ops.person.done.enable",
  end: "ops.person.done.end", reset: "ops.person.done.reset", create: "ops.person.done.create",
};
const OUTCOMES = {
  succeeded: "ops.login.succeeded", wrong_password: "ops.login.wrong", unknown_user: "ops.login.unknown", disabled: "ops.login.disabled",
  throttled: "ops.login.throttled", password_change_required: "ops.login.change", one_time_password_expired: "ops.login.expired",
};

export function personView(state, does, roles) {
  const { person } = state.people;
  return html`<section class="stack section" aria-labelledby="title">
    <p><a class="button quiet back" href="#people">${icon("back")}${t("ops.person.back")}</a></p>
    <h1 id="title" tabindex="-1">${person.studentId}</h1>
    ${oneTimeView(person, does)}
    ${person.done ? notice("good", "check", t(DONE[person.done])) : nothing}
    ${refusalNotice(person.refusal, PERSON_REFUSALS)}
    ${person.account ? accountCard(state, does, roles) : missingView(person, does)}
    ${person.account ? [sessionsView(person), loginsView(person, does)] : nothing}
  </section>`;
}

function missingView({ status }, does) {
  if (status === "loading") return notice("info", "todo", t("ops.person.loading"));
  if (status === "missing") return notice("bad", "cross", t("ops.person.missing"));
  return notice("bad", "cross", html`<div class="spread">${t("ops.people.failed")}${once({ id: "read-again", label: t("ops.again"), act: does.readPerson })}</div>`);
}

/** Shown once, and kept nowhere else: who leaves this page without it makes another one. */
function oneTimeView({ oneTime, studentId }, does) {
  if (!oneTime) return nothing;
  return html`<section class="card stack one-time" aria-labelledby="one-time">
    <h2 id="one-time" tabindex="-1">${t("ops.one-time.title", { id: studentId })}</h2>
    <p class="code">${oneTime.password}</p>
    <p>${t("ops.one-time.text", { day: day(oneTime.expiresAt) })}</p>
    <div class="row">${once({ id: "copy", label: [icon("copy"), t(oneTime.isCopied ? "ops.one-time.copied" : "ops.one-time.copy")], act: does.copy })}
      ${once({ id: "put-away", label: t("ops.one-time.done"), act: does.putAway })}</div>
  </section>`;
}

function accountCard(state, does, roles) {
  const { person } = state.people;
  const { account, busy } = person;
  return html`<section class="card stack" aria-labelledby="account-title">
    <h2 id="account-title">${t("ops.person.account")}</h2>
    <p class="row">${account.disabled ? html`<span class="badge bad">${icon("cross")}${t("ops.people.is-disabled")}</span>`
    : html`<span class="badge good">${icon("check")}${t("ops.person.is-enabled")}</span>`}
      <span class="muted">${t("ops.people.since", { day: day(account.created_at) })}</span></p>
    <form class="row fields" @submit=${submitted(does.saveName)}>
      ${field({ id: "person-name", label: t("ops.people.name"), value: person.name, hint: t("ops.person.name.hint"), input: does.personName })}
      ${once({ id: "save-name", label: t("ops.person.name.save"), act: does.saveName, busy: busy === "name" })}
    </form>
    ${account.student_id === state.who?.student_id ? notice("info", "info", t("ops.person.own")) : powers(state, does, roles)}
  </section>`;
}

function powers(state, does, roles) {
  const { person } = state.people;
  const { student_id: id, disabled, role } = person.account;
  const button = (action, label, question, yes) => twice({
    id: action, asked: state.asked, ask: does.ask, label, question, yes, act: () => does.person(action), busy: person.busy === action,
  });
  return html`<div class="stack powers">
    ${choice({ id: "person-role", label: t("ops.people.role"), value: person.role ?? role, options: roles, choose: does.personRole })}
    ${person.role && person.role !== role ? roleQuestion(person, does) : nothing}
    <div class="row">
      ${button("reset", t("ops.person.reset"), t("ops.person.reset.question", { id }), t("ops.person.reset.yes"))}
      ${button("end", t("ops.person.end"), t("ops.person.end.question", { id }), t("ops.person.end.yes"))}
      ${disabled ? once({ id: "enable", label: t("ops.person.enable"), act: () => does.person("enable"), busy: person.busy === "enable" })
    : button("disable", t("ops.person.disable"), t("ops.person.disable.question", { id }), t("ops.person.disable.yes"))}
    </div>
  </div>`;
}

function roleQuestion({ busy }, does) {
  return html`<div class="asks" role="group" aria-label=${t("ops.person.role.question")}>
    <p>${t("ops.person.role.question")}</p>
    ${once({ id: "save-role", label: t("ops.person.role.yes"), act: () => does.person("role"), busy: busy === "role", classes: "danger" })}
    ${once({ id: "keep-role", label: t("ops.keep"), act: () => does.personRole(null) })}
  </div>`;
}

function sessionsView({ sessions }) {
  return html`<section class="card stack" aria-labelledby="sessions">
    <h2 id="sessions">${t("ops.sessions.title")}</h2>
    ${sessions === null ? html`<p class="muted">${t("ops.sessions.unknown")}</p>` : nothing}
    ${sessions?.length === 0 ? html`<p class="muted">${t("ops.sessions.none")}</p>` : nothing}
    ${sessions?.length ? html`<ul class="plain lines">${sessions.map(sessionLine)}</ul>` : nothing}
  </section>`;
}

function sessionLine(session) {
  const { browser, system } = deviceOf(session.user_agent);
  const name = browser && system ? t("account.device.name", { browser, system }) : (browser ?? system ?? t("account.device.unknown"));
  return html`<li><p>${name}</p>
    <p class="muted small">${t("ops.sessions.line", { ip: session.client_ip ?? "–", since: day(session.created_at), used: day(session.last_used_at) })}</p></li>`;
}

function loginsView({ logins, loginsCursor }, does) {
  return html`<section class="card stack" aria-labelledby="logins">
    <h2 id="logins">${t("ops.logins.title")}</h2>
    ${logins === null ? html`<p class="muted">${t("ops.sessions.unknown")}</p>` : nothing}
    ${logins?.length === 0 ? html`<p class="muted">${t("ops.logins.none")}</p>` : nothing}
    ${logins?.length ? html`<ul class="plain lines">${logins.map(loginLine)}</ul>` : nothing}
    ${loginsCursor ? once({ id: "more-logins", label: t("ops.more"), act: does.moreLogins }) : nothing}
  </section>`;
}

function loginLine({ attempted_at: at, outcome, response_time_ms: ms }) {
  const isGood = outcome === "succeeded";
  return html`<li class="row"><span>${day(at)}</span>
    <span class="note ${isGood ? "is-good" : "is-bad"}">${icon(isGood ? "check" : "cross")}<span>${t(OUTCOMES[outcome] ?? "ops.login.other")}</span></span>
    <span class="muted small">${t("ops.ms", { ms })}</span></li>`;
}
