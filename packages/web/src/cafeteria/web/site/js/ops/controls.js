/** Parts of several sections: a button that asks twice, a switch, a field, a notice. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { icon } from "../ui.js";
import { latinDigits, t } from "../words.js";
import { refusalText } from "./refusals.js";

/**
 * A button for what cannot be taken back: the first press asks in its place, the second does it. No dialog.
 * @param {{id: string, asked: string|null, ask: (id: string|null) => void, label: string, name?: string, question: string,
 *   yes: string, act: () => void, busy?: boolean, classes?: string}} button `asked`: the id of the button that asks now;
 *   `name`: what screen readers say, where the label alone says too little
 */
export function twice({ id, asked, ask, label, name = nothing, question, yes, act, busy = false, classes = "" }) {
  if (asked !== id) return once({ id, label, name, act: () => ask(id), busy, classes });
  const answer = (isYes) => () => {
    ask(null);
    if (isYes) act();
  };
  return html`<div class="asks" role="group" aria-label=${question} @keydown=${(event) => event.key === "Escape" && answer(false)()}>
    <p>${question}</p>
    <button type="button" class="button danger" id="yes" @click=${answer(true)}>${yes}</button>
    <button type="button" class="button" @click=${answer(false)}>${t("ops.keep")}</button>
  </div>`;
}

/** A button that acts at once. While it is busy it stays in the tab order, and a press does nothing. */
export function once({ id, label, name = nothing, act, busy = false, classes = "" }) {
  return html`<button type="button" class="button ${classes}" id=${id} aria-label=${name} aria-disabled=${busy ? "true" : "false"}
    @click=${() => !busy && act()}>${busy ? icon("spinner", "spin") : nothing}${label}</button>`;
}

/** A switch that says its state in a word, too. @param {{id: string, label: string, isOn: boolean, text: string, act: () => void, busy?: boolean}} of */
export function toggle({ id, label, isOn, text, act, busy = false }) {
  return html`<button type="button" class="switch" role="switch" id=${id} aria-checked=${String(isOn)} aria-label=${label}
    aria-disabled=${busy ? "true" : "false"} @click=${() => !busy && act()}><span class="knob" aria-hidden="true"></span><span
    aria-hidden="true">${text}</span></button>`;
}

/** The refusal as a notice, or nothing. */
export function refusalNotice(refusal, own) {
  return refusal ? notice("bad", "cross", refusalText(refusal, own)) : nothing;
}

/** @param {"info"|"good"|"warn"|"bad"} kind */
export const notice = (kind, sign, content) => html`<div class="notice ${kind}">${icon(sign)}<div class="grow">${content}</div></div>`;

/**
 * A labelled field; its error stands below it and is tied to it.
 * @param {{id: string, label: string, value: string, input: (text: string) => void, error?: string, hint?: string,
 *   mode?: string, type?: string, size?: string}} field
 */
export function field({ id, label, value, input, error = "", hint = "", mode = "text", type = "text" }) {
  const below = `${id}-below`;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} type=${type} inputmode=${mode} autocomplete="off" spellcheck="false" .value=${value}
      aria-invalid=${error ? "true" : "false"} aria-describedby=${error || hint ? below : nothing}
      @input=${(event) => input(typed(event, mode))}>
    ${error || hint ? html`<p class=${error ? "error" : "hint"} id=${below}>${error || hint}</p>` : nothing}
  </div>`;
}

const typed = ({ target }, mode) => (mode === "text" ? target.value : latinDigits(target.value));

/** A choice of a few. @param {{id: string, label: string, value: string, options: [string, string][], choose: (value: string) => void}} of */
export function choice({ id, label, value, options, choose }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} @change=${(event) => choose(event.target.value)}>
      ${options.map(([name, text]) => html`<option value=${name} .selected=${name === value}>${text}</option>`)}
    </select>
  </div>`;
}

/** A form whose fields are sent by a press of Enter, too, and never by the browser itself. */
export const submitted = (act) => (event) => {
  event.preventDefault();
  act();
};
