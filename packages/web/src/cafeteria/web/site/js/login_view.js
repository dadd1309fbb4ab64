/** The form for signing in (`LoginOptions`), in place: nothing of the page is lost. */
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { countdown } from "./clock.js";
import { loginModel, signIn, stopSigningIn } from "./login_model.js";
import { icon } from "./ui.js";
import { latinDigits } from "./words.js";

export { loginModel, stopSigningIn };

export function loginView({ state, act, t, title, hint = "", idLabel = t("login.id.label"), inputMode = "numeric" }) {
  if (state.status === "other") return otherView({ state, t });
  const isChoosing = state.oneTime !== "";
  return html`<section class="card stack login" aria-labelledby="login-title">
    <h2 id="login-title" tabindex="-1">${isChoosing ? t("login.choose.title") : title}</h2>
    ${hint && !isChoosing ? html`<p class="muted">${hint}</p>` : nothing} ${messageOf(state, t)}
    <form class="stack" @submit=${(event) => submit(event, state, act)}>
      ${isChoosing ? chooseFields({ state, act, t }) : fieldsView({ state, act, t, idLabel, inputMode })} ${buttonView({ state, t })}
      ${isChoosing ? backButton(act, t) : nothing}
    </form>
  </section>`;
}

function fieldsView({ state, act, t, idLabel, inputMode }) {
  const isWrong = state.status === "wrong" || state.status === "invalid";
  return html`<div class="field">
      <label for="login-id">${idLabel}</label>
      <input id="login-id" name="studentId" autocomplete="username" inputmode=${inputMode} autocapitalize="none" spellcheck="false"
        maxlength="32" required aria-invalid=${isWrong} aria-describedby="login-message" .value=${state.studentId} />
    </div>
    ${passwordField({ id: "login-password", name: "password", label: t("login.password.label"), complete: "current-password", isWrong, state, act, t })}`;
}

function chooseFields({ state, act, t }) {
  const isWrong = state.status === "unusable";
  const complete = "new-password";
  return html`<p>${t("login.choose.text", { id: state.studentId })}</p>
    <input class="visually-hidden" name="username" autocomplete="username" tabindex="-1" aria-hidden="true" readonly .value=${state.studentId} />
    ${passwordField({ id: "login-new-password", name: "newPassword", label: t("login.choose.label"), complete, isWrong, state, act, t, least: 8 })}
    <p class="muted small" id="login-rule">${t("login.choose.rule")}</p>`;
}

function passwordField({ id, name, label, complete, isWrong, state, act, t, least = 1 }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="with-button">
      <input id=${id} name=${name} type=${state.isShown ? "text" : "password"} autocomplete=${complete} autocapitalize="none" spellcheck="false"
        minlength=${least} maxlength="256" required aria-invalid=${isWrong} aria-describedby="login-message" />
      <button class="button" type="button" aria-pressed=${state.isShown} aria-controls=${id} @click=${() => act({ type: "login/show" })}>
        ${t("login.password.show")}
      </button>
    </div>
  </div>`;
}

function buttonView({ state, t }) {
  const isBusy = state.status === "sending";
  const isWaiting = state.status === "too-many";
  const isSaving = state.oneTime !== "";
  return html`<button class="button primary wide" type="submit" aria-disabled=${isBusy || isWaiting} aria-describedby="login-message">
    ${isBusy ? icon("spinner", "spin") : nothing} ${t(isBusy ? "login.button.sending" : isSaving ? "login.choose.button" : "login.button")}
  </button>`;
}

function backButton(act, t) {
  return html`<button class="button quiet" type="button" @click=${() => act({ type: "login/back" })}>${t("login.choose.back")}</button>`;
}

const MESSAGES = {
  wrong: ["bad", "login.error.wrong"],
  invalid: ["bad", "login.error.invalid"],
  unusable: ["bad", "login.error.unusable"],
  "too-many": ["warn", "login.error.too_many"],
  away: ["warn", "login.error.away"],
  expired: ["info", "login.expired"],
  broken: ["bad", "login.error.broken"],
};

/** The element is always there, so that the fields are described by it. */
function messageOf(state, t) {
  const [tone, key] = MESSAGES[state.status] ?? [];
  if (!tone) return html`<p id="login-message" hidden></p>`;
  const values = { s: countdown(state.untilMs), request_id: state.requestId ?? "" };
  return html`<p id="login-message" class="notice ${tone}">${icon(tone === "info" ? "info" : "warn")}<span>${t(key, values)}</span></p>`;
}

function otherView({ state, t }) {
  return html`<section class="card stack login" aria-labelledby="login-title">
    <h2 id="login-title" tabindex="-1">${t("login.other", { id: state.other })}</h2>
    <p>${t("login.other.text")}</p>
    <button class="button primary" type="button" @click=${() => location.reload()}>${t("login.other.button")}</button>
  </section>`;
}

function submit(event, state, act) {
  event.preventDefault();
  if (state.status === "sending" || state.status === "too-many") return;
  const typed = Object.fromEntries(new FormData(event.currentTarget));
  const isChoosing = state.oneTime !== "";
  const fields = isChoosing
    ? { studentId: state.studentId, password: state.oneTime, newPassword: typed.newPassword }
    : { studentId: latinDigits(typed.studentId.trim()), password: typed.password };
  signIn(fields, act);
}
