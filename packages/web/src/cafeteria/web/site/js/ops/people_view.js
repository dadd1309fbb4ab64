/** The accounts: a search, a form for a new one, and the list. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { icon } from "../ui.js";
import { day, t } from "../words.js";
import { choice, field, notice, once, refusalNotice, submitted } from "./controls.js";
import { personView } from "./person_view.js";
import { PEOPLE_REFUSALS } from "./refusals.js";

const ROLE_NAMES = { student: "ops.role.student", kitchen: "ops.role.kitchen", operator: "ops.role.operator" };

const roleOptions = () => Object.entries(ROLE_NAMES).map(([name, key]) => [name, t(key)]);

export function view(state, does) {
  if (state.people.person) return personView(state, does, roleOptions());
  const { people } = state;
  return html`<section class="stack section" aria-labelledby="title">
    <div class="spread"><h1 id="title" tabindex="-1">${t("ops.people.title")}</h1>
      ${people.isCreating ? nothing : once({ id: "open-person", label: t("ops.people.create.open"), act: () => does.creating(true) })}</div>
    ${people.isCreating ? createView(people, does) : nothing}
    ${searchView(people.found, does)} ${foundView(people.found, does)}
  </section>`;
}

function searchView({ asked }, does) {
  const any = ["", t("ops.people.any")];
  const states = [any, ["false", t("ops.people.enabled")], ["true", t("ops.people.disabled")]];
  return html`<search class="row fields">
    ${field({ id: "search", label: t("ops.people.search"), value: asked.search, type: "search", input: (search) => does.find({ search }) })}
    ${choice({ id: "by-role", label: t("ops.people.role"), value: asked.role, options: [any, ...roleOptions()], choose: (role) => does.find({ role }) })}
    ${choice({ id: "by-state", label: t("ops.people.state"), value: asked.disabled, options: states, choose: (disabled) => does.find({ disabled }) })}
  </search>`;
}

function foundView({ status, items, cursor }, does) {
  if (status === "loading") return notice("info", "todo", t("ops.people.loading"));
  const failed = status === "failed" ? notice("bad", "cross", html`<div class="spread">${t("ops.people.failed")}
    ${once({ id: "find-again", label: t("ops.again"), act: () => does.find({}) })}</div>`) : nothing;
  if (status === "shown" && !items.length) return html`<p class="muted">${t("ops.people.none")}</p>`;
  return html`${failed}
    <ul class="plain people">${repeat(items, ({ student_id: id }) => id, personRow)}</ul>
    ${cursor ? once({ id: "more-people", label: t("ops.more"), act: does.findMore }) : nothing}`;
}

function personRow(account) {
  return html`<li><a class="person" href=${`#people/${account.student_id}`}>
    <span class="person-id">${account.student_id}</span>
    <span class="person-name">${account.full_name ?? t("ops.people.no-name")}</span>
    <span class="muted">${t(ROLE_NAMES[account.role])}</span>
    ${account.disabled ? html`<span class="badge bad">${icon("cross")}${t("ops.people.is-disabled")}</span>` : html`<span></span>`}
    <span class="muted small">${t("ops.people.since", { day: day(account.created_at) })}</span>
  </a></li>`;
}

/** No password is asked for: a one-time password is made, shown once, and replaced by its owner. */
function createView({ draft, wrong, refusal, isBusy }, does) {
  const idError = wrong.includes("studentId") ? t("ops.people.id.wrong") : "";
  const nameError = wrong.includes("name") ? t("ops.name.wrong") : "";
  return html`<form class="card stack" aria-labelledby="create-title" @submit=${submitted(() => !isBusy && does.createPerson())}>
    <h2 id="create-title" tabindex="-1">${t("ops.people.create.title")}</h2>
    <p class="muted">${t("ops.people.create.hint")}</p>
    <div class="row fields">
      ${field({ id: "new-id", label: t("ops.people.id"), value: draft.studentId, error: idError, input: (studentId) => does.personDraft({ studentId }) })}
      ${field({ id: "new-name", label: t("ops.people.name"), value: draft.name, error: nameError, input: (name) => does.personDraft({ name }) })}
      ${choice({ id: "new-role", label: t("ops.people.role"), value: draft.role, options: roleOptions(), choose: (role) => does.personDraft({ role }) })}
    </div>
    ${refusalNotice(refusal, PEOPLE_REFUSALS)}
    <div class="row"><button type="submit" class="button primary" aria-disabled=${String(isBusy)}>${t("ops.people.create.button")}</button>
      <button type="button" class="button" @click=${() => does.creating(false)}>${t("ops.cancel")}</button></div>
  </form>`;
}
