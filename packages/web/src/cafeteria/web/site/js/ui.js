/** How a page shows its state, moves the focus and speaks to screen readers; the head and the signs of all pages. */
import { html, nothing, render } from "../vendor/lit-html/lit-html.js";

const ANNOUNCE_EVERY_MS = 500; // faster, and screen readers cut the first sentence off
const REPEAT_AFTER_MS = 5_000; // a second wrong password is announced, too
const CLEAR_AFTER_MS = 10_000; // who reads the page later finds no old sentence
const regions = { polite: channel("polite"), urgent: channel("urgent") };

/**
 * Run a page (`PageOptions`): each `act(event)` gives the next state, which is drawn in the next frame. Read `state` of what
 * it gives at each use: it is a getter.
 */
export function page({ root, view, init, act, changed = () => {} }) {
  const roots = root instanceof Element ? { root } : root;
  let state = init;
  let frame = 0;
  const draw = () => {
    frame = 0;
    const shown = view(state, dispatch);
    for (const [name, element] of Object.entries(roots)) render(root === element ? shown : shown[name] ?? nothing, element);
  };
  const dispatch = (event) => {
    const before = state;
    state = act(state, event);
    if (state !== before) frame ||= requestAnimationFrame(draw);
    changed(state, before, event);
  };
  for (const element of Object.values(roots)) element.replaceChildren();
  draw();
  return {
    act: dispatch,
    get state() {
      return state;
    },
  };
}

/** Let screen readers say a sentence, once. `urgent` interrupts what is being read. */
export function announce(text, { urgent = false } = {}) {
  regions[urgent ? "urgent" : "polite"].say(text);
}

/** Move the focus, after the state that was just given is drawn. */
export function focusOn(selector) {
  requestAnimationFrame(() => document.querySelector(selector)?.focus());
}

/** Keeps the screen on while the page is visible. A browser without Wake Lock, or one that refuses it, changes nothing. */
export function keepAwake() {
  const request = () => {
    if (!document.hidden) navigator.wakeLock?.request("screen").catch(() => {});
  };
  document.addEventListener("visibilitychange", request); // a hidden page has lost its lock
  request();
}

/** A sign beside a text, by its name in PATHS; screen readers skip it. */
export function icon(name, classes = "") {
  return html`<svg class="icon ${classes}" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}

/** The head of a page (`HeaderOptions`): name, sections, how fresh it is, who is signed in, always in this order. */
export function headerView({ name, home = "#", sections = [], label = "", state = nothing, account = nothing }) {
  return html`<div class="masthead">
    <a class="brand" href=${home}>${icon("mark")}<span>${name}</span></a>
    ${sections.length ? tabsView(sections, label) : nothing}
    <span class="push"></span>
    ${state} ${account}
  </div>`;
}

function tabsView(sections, label) {
  const current = (section) => (section.isCurrent ? "page" : nothing);
  return html`<nav class="tabs" aria-label=${label}>
    ${sections.map((section) => html`<a href=${section.href} aria-current=${current(section)}>${section.label}</a>`)}
  </nav>`;
}

/** How fresh the page is, as a sign and a text. */
export function linkState({ isLive, text }) {
  return html`<span class="link-state ${isLive ? "live" : ""}">${icon(isLive ? "live" : "reconnecting")}<span>${text}</span></span>`;
}

function channel(id) {
  const waiting = [];
  let last = { text: "", at: -REPEAT_AFTER_MS };
  let timer = 0;
  let cleaning = 0;
  const speakNext = () => {
    timer = waiting.length ? setTimeout(speakNext, ANNOUNCE_EVERY_MS) : 0;
    if (!timer) return;
    write(waiting.shift());
  };
  const write = (text) => {
    const region = document.getElementById(id);
    region.textContent = "";
    requestAnimationFrame(() => (region.textContent = text)); // a change is read out, also to the same text
    clearTimeout(cleaning);
    cleaning = setTimeout(() => (region.textContent = ""), CLEAR_AFTER_MS);
  };
  const isRepeat = (text) => text === last.text && performance.now() - last.at < REPEAT_AFTER_MS;
  const say = (text) => {
    if (isRepeat(text)) return;
    last = { text, at: performance.now() };
    waiting.push(text);
    if (!timer) speakNext();
  };
  return { say };
}

/** Outlines on a square of 24, drawn with a line of 2. */
const PATHS = {
  mark: "M3 13h18a9 9 0 0 1-5 7H8a9 9 0 0 1-5-7zM14.5 3.2a4 4 0 1 0 3 6 3.4 3.4 0 0 1-3-6z",
  live: "M12 7.5a4.5 4.5 0 1 0 .01 0zM12 9.8a2.2 2.2 0 1 0 .01 0z",
  reconnecting: "M4 12a8 8 0 0 1 14-5.3L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.3L4 15M4 20v-5h5",
  offline: "M3 3l18 18M5 12.5a10 10 0 0 1 4-2.4M19 12.5a10 10 0 0 0-5-2.7M8.5 16a5 5 0 0 1 7 0M12 20h.01M2 8.8A15 15 0 0 1 6 6.3M22 8.8A15 15 0 0 0 11 5",
  check: "M5 13l4.5 4.5L19 7",
  cross: "M6 6l12 12M18 6L6 18",
  current: "M12 4a8 8 0 1 0 .01 0zM12 8.5a3.5 3.5 0 1 0 .01 0z",
  todo: "M12 5a7 7 0 1 0 .01 0z",
  warn: "M12 4L2.5 20h19zM12 10v4M12 17h.01",
  late: "M12 4L3 19h18z",
  soon: "M12 5v9M12 19h.01",
  info: "M12 3a9 9 0 1 0 .01 0zM12 11v5M12 8h.01",
  clock: "M12 3a9 9 0 1 0 .01 0zM12 7v5l3.5 2",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  down: "M5 9l7 7 7-7",
  up: "M5 15l7-7 7 7",
  person: "M12 4a4 4 0 1 0 .01 0zM4 21a8 8 0 0 1 16 0",
  signOut: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  help: "M12 3a9 9 0 1 0 .01 0zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .8-1 1.7M12 17h.01",
  search: "M11 4a7 7 0 1 0 .01 0zM16 16l5 5",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z",
  undo: "M9 6L4 11l5 5M4 11h10a6 6 0 0 1 0 12h-2",
  basket: "M4 9h16l-2 11H6zM8 9l4-6 4 6",
  copy: "M8 8h12v12H8zM4 16V4h12",
  spinner: "M12 3a9 9 0 1 0 9 9",
};
