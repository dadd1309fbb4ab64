/** When the food will be ready, in words: a range, rounded outward, never a promise. */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { now } from "../clock.js";
import { icon } from "../ui.js";
import { t, time } from "../words.js";
import { aheadOf, isLate, pauseOf, rangeNow, rangeOf, silenceOf } from "./canteen.js";

const IN_SECONDS = 90;
const STEP_S = 5;

/** "20–35 s" or "2–4 min". */
export function lengthText({ from, to }) {
  if (to < IN_SECONDS) return t("eta.seconds", { from: STEP_S * Math.floor(from / STEP_S), to: STEP_S * Math.ceil(to / STEP_S) });
  return t("eta.minutes", { from: Math.floor(from / 60), to: Math.ceil(to / 60) });
}

/** "Ready in about 20–35 s", or with the times of the day "Ready between 17:46 and 17:49". */
export function rangeText(range) {
  if (range.to < IN_SECONDS) return t("eta.about", { length: lengthText(range) });
  const minute = 60_000;
  const at = now();
  const [from, to] = [Math.floor((at + 1000 * range.from) / minute), Math.ceil((at + 1000 * range.to) / minute)];
  return t("eta.range", { from: time(from * minute), to: time(to * minute) });
}

/** Under the state of an order that is not ready yet: when it will be, how many are before it, and what delays it. */
export function etaView(order, { pulse, told }) {
  if (!pulse || !["STOCK_VERIFIED", "IN_KITCHEN"].includes(order.status)) return nothing;
  const pace = pulse.data.kitchen;
  const silence = silenceOf(pulse, now());
  if (silence) return html`<p class="notice warn">${icon("warn")}<span>${t("eta.silent", { s: silence })}</span></p>`;
  const range = rangeOf(order, pace, now());
  const ahead = Math.round(aheadOf(order, pace) ?? 0);
  const late = isLate(order, told, now());
  return html`<div class="eta">
    ${range || !late ? html`<p class="eta-range">${range ? rangeText(range) : t("eta.none")}</p>` : nothing}
    ${ahead > 0 ? html`<p class="muted">${t("eta.ahead", { n: ahead })}</p>` : nothing}
    ${late ? html`<p>${t("eta.late")}</p>` : nothing}
  </div>`;
}

/** In the line that leads to an order. */
export function etaText(order, { pulse }) {
  const range = silenceOf(pulse, now()) ? null : rangeOf(order, pulse?.data.kitchen, now());
  return range ? t("eta.about", { length: lengthText(range) }) : "";
}

/** Over the menu: the pause of the kitchen, or when an order of this moment would be ready. */
export function paceView({ pulse }) {
  const pause = pauseOf(pulse, now());
  if (pause) return html`<p class="notice warn">${icon("warn")}<span>${pauseText(pause)}</span></p>`;
  const range = silenceOf(pulse, now()) ? null : rangeNow(pulse?.data.kitchen, now());
  return range ? html`<p class="pace muted">${t("eta.now", { length: lengthText(range) })}</p>` : nothing;
}

export const pauseText = ({ until }) => (until ? t("menu.paused.until", { time: time(until) }) : t("menu.paused"));
