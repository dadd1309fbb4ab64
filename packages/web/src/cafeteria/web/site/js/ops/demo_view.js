/** The demo's controls: a crowd that orders, and a switch for each member of the system. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { icon } from "../ui.js";
import { digits, t, time } from "../words.js";
import { field, notice, once, refusalNotice, submitted, toggle, twice } from "./controls.js";
import { MOST_STUDENTS, actions, crowdRequest, needsConfirmation } from "./demo_model.js";
import { DEMO_REFUSALS } from "./refusals.js";

const STATES = {
  running: { sign: "check", text: "ops.demo.running", look: "good" },
  starting: { sign: "spinner", text: "ops.demo.starting", look: "info" },
  stopped: { sign: "cross", text: "ops.demo.stopped", look: "bad" },
  frozen: { sign: "pause", text: "ops.demo.frozen", look: "warn" },
};
const ACTIONS = {
  kill: { label: "ops.demo.kill", name: "ops.demo.kill.name", question: "ops.demo.kill.question" },
  freeze: { label: "ops.demo.freeze", name: "ops.demo.freeze.name", question: "ops.demo.freeze.question" },
  thaw: { label: "ops.demo.thaw", name: "ops.demo.thaw.name", question: "" },
};

export function view(state, does) {
  const { demo } = state;
  return html`<section class="stack section" aria-labelledby="title">
    <h1 id="title" tabindex="-1">${t("ops.demo.title")}</h1>
    ${demo.status === "silent" ? notice("bad", "cross", t("ops.demo.silent")) : nothing}
    ${demo.status === "absent" ? notice("info", "info", t("ops.demo.absent")) : nothing}
    ${demo.status === "unknown" ? notice("info", "todo", t("ops.loading")) : nothing}
    ${demo.members.length ? [crowdView(demo, does), membersView(state, does), kitchenView(demo, does)] : nothing}
  </section>`;
}

function crowdView({ crowd, draft, isWrong, busy, refusals }, does) {
  const isRunning = crowd?.state === "running";
  const wish = crowdRequest(draft);
  const n = wish?.students ?? MOST_STUDENTS;
  return html`<section class="card stack" aria-labelledby="crowd">
    <h2 id="crowd">${t("ops.crowd.title")}</h2>
    ${isRunning ? nothing : html`<form class="stack" @submit=${submitted(does.startCrowd)}>
      <div class="row fields">
        ${field({ id: "students", label: t("ops.crowd.students"), value: draft.students, mode: "numeric", error: isWrong ? t("ops.crowd.wrong") : "", input: (students) => does.crowdDraft({ students }) })}
        ${field({ id: "within", label: t("ops.crowd.within"), value: draft.withinS, mode: "numeric", input: (withinS) => does.crowdDraft({ withinS }) })}
        <label class="check"><input type="checkbox" .checked=${draft.isHot} @change=${(event) => does.crowdDraft({ isHot: event.target.checked })}>
          ${t("ops.crowd.hot")}</label>
      </div>
      <button type="submit" class="button primary" id="start-crowd" aria-disabled=${String(busy.crowd !== undefined)}>${t("ops.crowd.start", { n })}</button>
    </form>`}
    ${refusalNotice(refusals.crowd, DEMO_REFUSALS)}
    ${crowd ? crowdFigures(crowd) : html`<p class="muted">${t("ops.crowd.hint")}</p>`}
    ${isRunning ? once({ id: "stop-crowd", label: t("ops.crowd.stop"), act: does.stopCrowd, busy: busy.crowd !== undefined }) : nothing}
  </section>`;
}

function crowdFigures(crowd) {
  const figure = (label, value, look = "") => html`<div class=${look}><dt>${label}</dt><dd>${value}</dd></div>`;
  const number = (value) => (value === null || value === undefined ? "–" : digits(value));
  return html`<p><strong>${t(crowd.state === "running" ? "ops.crowd.running" : "ops.crowd.ended", { n: crowd.students })}</strong></p>
    <dl class="small-tiles flat" id="crowd-figures">
      ${figure(t("ops.crowd.placed"), number(crowd.placed))} ${figure(t("ops.crowd.accepted"), number(crowd.accepted))}
      ${figure(t("ops.crowd.received"), number(crowd.received))} ${figure(t("ops.crowd.refused"), number(crowd.refused))}
      ${figure(t("ops.crowd.busy"), number(crowd.busy))} ${figure(t("ops.crowd.ready"), number(crowd.ready))}
      ${figure(t("ops.p50.label"), answerTime(crowd.p50_ms))} ${figure(t("ops.p95.label"), answerTime(crowd.p95_ms))}
      ${figure(t("ops.crowd.lost"), lost(crowd), look(crowd))}
    </dl>`;
}

const answerTime = (ms) => (typeof ms === "number" ? t("ops.ms", { ms: Math.round(ms) }) : "–");

/** Nobody knows it before every accepted order was asked for at the end. */
function lost(crowd) {
  if (typeof crowd.lost !== "number") return t("ops.crowd.lost.later");
  return [icon(crowd.lost ? "warn" : "check"), digits(crowd.lost)];
}

const look = ({ lost: n }) => (typeof n === "number" ? (n ? "marked" : "fine") : "");

function membersView(state, does) {
  return html`<section class="card stack" aria-labelledby="members">
    <h2 id="members">${t("ops.demo.members")}</h2>
    <p class="muted">${t("ops.demo.hint")}</p>
    <ul class="plain members">${state.demo.members.map((member) => memberRow(member, state, does))}</ul>
  </section>`;
}

function memberRow(member, state, does) {
  const { name } = member;
  const { demo } = state;
  const { sign, text, look: tone } = STATES[member.state];
  const refusal = refusalNotice(demo.refusals[name], DEMO_REFUSALS);
  return html`<li data-member=${name} data-state=${member.state}>
    <div class="member">
      <div><strong>${name}</strong><p class="muted small">${history(member)}</p></div>
      <span class="badge ${tone}">${icon(sign, sign === "spinner" ? "spin" : "")}${t(text)}</span>
      <div class="row member-actions">${memberSwitch(member, state, does)} ${memberButtons(member, state, does)}</div>
    </div>
    ${refusal}
  </li>`;
}

function history({ since, restarts }) {
  const values = { time: time(since, { seconds: true }), n: restarts };
  return t(restarts ? "ops.demo.since.restarts" : "ops.demo.since", values);
}

function memberSwitch(member, state, does) {
  const { name } = member;
  const isOn = member.state !== "stopped";
  const action = isOn ? "off" : "on";
  const id = `switch-${name}`;
  const act = () => does.member(name, action);
  if (state.asked === id) {
    return twice({ id, asked: id, ask: does.ask, label: name, question: t("ops.demo.off.question", { name }), yes: t("ops.demo.off.yes"), act });
  }
  const press = needsConfirmation(name, action) ? () => does.ask(id) : act;
  return toggle({ id, label: name, isOn, text: t(isOn ? "ops.demo.on" : "ops.demo.off"), act: press, busy: state.demo.busy[name] !== undefined });
}

function memberButtons(member, state, does) {
  return actions(member).filter((action) => ACTIONS[action]).map((action) => memberButton(member.name, action, state, does));
}

function memberButton(name, action, state, does) {
  const words = ACTIONS[action];
  const busy = state.demo.busy[name] !== undefined;
  const common = { id: `${action}-${name}`, label: t(words.label), name: t(words.name, { name }), act: () => does.member(name, action), busy };
  if (!needsConfirmation(name, action)) return once(common);
  return twice({ ...common, asked: state.asked, ask: does.ask, question: t(words.question, { name }), yes: t("ops.demo.yes") });
}

function kitchenView({ kitchenMode, busy, refusals }, does) {
  if (!kitchenMode) return nothing;
  const isManual = kitchenMode === "manual";
  return html`<section class="card stack" aria-labelledby="kitchen-mode">
    <h2 id="kitchen-mode">${t("ops.kitchen.title")}</h2>
    <p>${t(isManual ? "ops.kitchen.manual" : "ops.kitchen.auto")}</p>
    ${refusalNotice(refusals["kitchen-mode"], DEMO_REFUSALS)}
    <div>${once({ id: "change-kitchen", label: t(isManual ? "ops.kitchen.to-auto" : "ops.kitchen.to-manual"),
    act: () => does.kitchenMode(isManual ? "auto" : "manual"), busy: busy["kitchen-mode"] !== undefined })}</div>
  </section>`;
}
