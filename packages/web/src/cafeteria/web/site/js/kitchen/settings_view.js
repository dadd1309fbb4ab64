/** The settings of this screen. A change counts at once; there is nothing to save. */

import { html } from "../../vendor/lit-html/lit-html.js";
import { t } from "../words.js";
import { BOUNDS } from "./settings.js";

const NUMBERS = { soonMin: "kitchen.settings.soon", lateMin: "kitchen.settings.late", undoS: "kitchen.settings.undo" };
const CHOICES = { keys: "kitchen.settings.keys", digitPresses: "kitchen.settings.digits" };

/**
 * @param {typeof import("./settings.js").DEFAULTS} settings
 * @param {(change: object) => void} onChange takes the settings that changed
 */
export function settingsView(settings, onChange) {
  return html`<section class="column stack" aria-labelledby="k-title">
    <h2>${t("kitchen.settings.title")}</h2>
    <p class="muted">${t("kitchen.settings.text")}</p>
    ${Object.entries(NUMBERS).map(([name, key]) => numberView(settings, name, key, onChange))}
    ${Object.entries(CHOICES).map(([name, key]) => choiceView(settings, name, key, onChange))}
    <h2>${t("kitchen.keys.title")}</h2>
    ${keysView()}
  </section>`;
}

function numberView(settings, name, key, onChange) {
  const [least, most] = BOUNDS[name];
  const change = (event) => onChange({ [name]: event.currentTarget.value === "" ? undefined : event.currentTarget.valueAsNumber });
  return html`<div class="field">
    <label for="set-${name}">${t(key)}</label>
    <input id="set-${name}" class="k-number" type="number" inputmode="numeric" min=${least} max=${most} .value=${String(settings[name])} @change=${change} />
  </div>`;
}

function choiceView(settings, name, key, onChange) {
  const change = (event) => onChange({ [name]: event.currentTarget.checked });
  return html`<label class="k-choice" for="set-${name}">
    <input id="set-${name}" type="checkbox" .checked=${settings[name]} @change=${change} /> <span>${t(key)}</span>
  </label>`;
}

const KEYS = [
  ["1–9", "kitchen.keys.choose"],
  ["↵", "kitchen.keys.enter"],
  ["S R C", "kitchen.keys.actions"],
  ["U", "kitchen.keys.undo"],
  ["← → ↑ ↓", "kitchen.keys.move"],
  ["/", "kitchen.keys.find"],
];

function keysView() {
  return html`<dl class="k-keys">${KEYS.map(([sign, key]) => html`<div><dt><kbd>${sign}</kbd></dt><dd>${t(key)}</dd></div>`)}</dl>`;
}
