/** Who is signed in, and what they may do with their account. It opens in place under the name. */
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { accountModel, changePassword, deviceOf, endDevice, leave, loadDevices } from "./account_model.js";
import { countdown } from "./clock.js";
import { icon } from "./ui.js";
import { day } from "./words.js";

export { accountModel };

export function accountView({ state, who, act, t }) {
  if (!who) return nothing;
  return html`<details class="account" @toggle=${(event) => event.currentTarget.open && loadDevices(act)} @keydown=${closeByEscape}>
    <summary>${icon("person")}<span>${who.student_id}</span>${icon("down", "turns")}</summary>
    <div class="panel card stack">
      ${whoView(who, t)} ${leaveView({ state, act, t })} ${passwordView({ state, who, act, t })} ${devicesView({ state, act, t })}
    </div>
  </details>`;
}

function whoView(who, t) {
  return html`<p><strong>${who.full_name ?? who.student_id}</strong><br /><span class="muted">${t(`account.role.${who.role}`, { id: who.student_id })}</span></p>`;
}

function leaveView({ state, act, t }) {
  const isBusy = state.leaving === "sending";
  return html`<button class="button wide" type="button" aria-disabled=${isBusy} @click=${() => isBusy || leave(act)}>
      ${icon("signOut")} ${t("account.leave")}
    </button>
    ${state.leaving === "away" ? html`<p class="notice warn">${icon("warn")}<span>${t("account.leave.away")}</span></p>` : nothing}`;
}

function passwordView({ state, who, act, t }) {
  return html`<section class="stack tight" aria-labelledby="account-password-title">
    <h3 id="account-password-title">${t("account.password")}</h3>
    ${passwordMessage(state, t)}
    <form class="stack tight" @submit=${(event) => submitPassword(event, state, act)}>
      <input class="visually-hidden" name="username" autocomplete="username" tabindex="-1" aria-hidden="true" readonly .value=${who.student_id} />
      ${field({ name: "oldPassword", label: t("account.password.old"), complete: "current-password", least: 1, isWrong: state.password === "wrong" })}
      ${field({ name: "newPassword", label: t("account.password.new"), complete: "new-password", least: 8, isWrong: state.password === "unusable" })}
      <p class="muted small">${t("account.password.rule")}</p>
      <button class="button" type="submit" aria-disabled=${isPasswordBusy(state)}>
        ${t(state.password === "sending" ? "account.password.sending" : "account.password.button")}
      </button>
    </form>
  </section>`;
}

function field({ name, label, complete, least, isWrong }) {
  return html`<div class="field">
    <label for="account-${name}">${label}</label>
    <input id="account-${name}" name=${name} type="password" autocomplete=${complete} minlength=${least} maxlength="256" required
      aria-invalid=${isWrong} aria-describedby="account-password-message" />
  </div>`;
}

const TONES = { done: "good", wrong: "bad", unusable: "bad", "too-many": "warn", away: "warn" };

function passwordMessage(state, t) {
  const tone = TONES[state.password];
  if (!tone) return html`<p id="account-password-message" hidden></p>`;
  const sentence = t(`account.password.${state.password}`, { s: countdown(state.untilMs) });
  return html`<p id="account-password-message" class="notice ${tone}">${icon(tone === "good" ? "check" : "warn")}<span>${sentence}</span></p>`;
}

function isPasswordBusy(state) {
  return state.password === "sending" || state.password === "too-many";
}

async function submitPassword(event, state, act) {
  event.preventDefault();
  if (isPasswordBusy(state)) return;
  const form = event.currentTarget;
  if (await changePassword(Object.fromEntries(new FormData(form)), act)) form.reset();
}

function devicesView({ state, act, t }) {
  return html`<section class="stack tight" aria-labelledby="account-devices-title">
    <h3 id="account-devices-title">${t("account.devices")}</h3>
    ${state.list === "loading" && !state.devices.length ? html`<p class="muted">${t("account.devices.loading")}</p>` : nothing}
    ${state.list === "failed" ? failedView(act, t) : nothing}
    <ul class="plain stack tight">
      ${state.devices.map((device) => deviceView({ device, state, act, t }))}
    </ul>
  </section>`;
}

function failedView(act, t) {
  return html`<p class="notice warn">${icon("warn")}<span class="grow">${t("account.devices.failed")}</span></p>
    <button class="button" type="button" @click=${() => loadDevices(act)}>${t("account.devices.again")}</button>`;
}

function deviceView({ device, state, act, t }) {
  const name = deviceName(device, t);
  const isEnding = state.ending.includes(device.id);
  return html`<li class="spread">
    <span>${name}<br /><span class="muted small">${t("account.device.used", { day: day(device.last_used_at) })}</span></span>
    ${device.is_current
      ? html`<span class="badge good">${icon("check")}${t("account.device.this")}</span>`
      : html`<button class="button" type="button" aria-disabled=${isEnding} aria-label=${t("account.device.end.label", { device: name })}
          @click=${() => isEnding || endDevice(device.id, act)}>${t("account.device.end")}</button>`}
  </li>`;
}

function deviceName(device, t) {
  const { browser, system } = deviceOf(device.user_agent);
  if (browser && system) return t("account.device.name", { browser, system });
  return browser ?? system ?? t("account.device.unknown");
}

function closeByEscape(event) {
  if (event.key !== "Escape" || !event.currentTarget.open) return;
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}
