/**
 * One stream for all tabs of a browser: HTTP/1.1 gives six connections to an origin. The tab that holds the Web Lock leads:
 * it streams, and relays events and a beat over a channel. When it closes, the lock passes on; when it is frozen, a visible
 * follower takes the lock. Without locks (plain http from another machine) each tab streams for itself while it is seen.
 */
import { session } from "./session.js";
import { openStream } from "./stream.js";

const BEAT_MS = 2_000;
const SILENT_LEADER_MS = 6_000; // three beats
const HIDDEN_LEADER_MS = 5 * 60_000;
const HIDDEN_ALONE_MS = 60_000;
const REMEMBERED_EVENTS = 100; // what a joining tab is told

/** Take part in the stream of the person who is signed in (`ShareOptions`); close it when somebody else is. */
export function shareStream(options) {
  const owner = session.who?.student_id ?? "";
  const standard = { onState: () => {}, path: "/v1/events?with=canteen", isNeeded: () => false, open: openStream, beatMs: BEAT_MS, silentMs: SILENT_LEADER_MS };
  const settings = { owner, ...standard, ...options };
  const canShare = Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel);
  return canShare ? shared(settings) : alone(settings);
}

function shared(settings) {
  const channel = new BroadcastChannel(`live/${settings.owner}`);
  const tab = { settings, channel, id: crypto.randomUUID(), role: "away", recent: [], menu: new Map(), pulse: [], link: null, lastId: "" };
  channel.onmessage = ({ data }) => onMessage(tab, data);
  const stopWatching = [
    whileSeen({ patienceMs: HIDDEN_LEADER_MS, isNeeded: settings.isNeeded, start: () => join(tab), stop: () => leave(tab) }),
    listen(globalThis, "pagehide", () => leave(tab)),
    listen(globalThis, "pageshow", (event) => event.persisted && join(tab)),
  ];
  return {
    close() {
      for (const stop of stopWatching) stop();
      leave(tab);
      channel.close();
    },
  };
}

function alone({ onEvent, onState, path, isNeeded, open }) {
  let stream = null;
  const start = () => (stream ??= open({ path, onEvent, onState }));
  const stop = () => {
    stream?.close();
    stream = null;
  };
  const stopWatching = whileSeen({ patienceMs: HIDDEN_ALONE_MS, isNeeded, start, stop });
  return {
    close() {
      stopWatching();
      stop();
    },
  };
}

/** Start now and when the tab is seen again; stop when it was hidden for `patienceMs` and is not needed. */
function whileSeen({ patienceMs, isNeeded, start, stop }) {
  let timer = 0;
  const check = () => {
    clearTimeout(timer);
    if (document.visibilityState !== "hidden") return start();
    timer = setTimeout(() => (isNeeded() ? check() : stop()), patienceMs);
  };
  const stopListening = listen(document, "visibilitychange", check);
  start();
  check();
  return () => {
    clearTimeout(timer);
    stopListening();
  };
}

function listen(target, type, fn) {
  target.addEventListener(type, fn);
  return () => target.removeEventListener(type, fn);
}

/** Wait for the lock, and follow until it is here. */
function join(tab) {
  if (tab.role !== "away") return;
  tab.role = "follower";
  expectBeat(tab);
  tab.queue = new AbortController();
  hold(tab, { signal: tab.queue.signal });
  tab.channel.postMessage({ kind: "join", from: tab.id });
}

function hold(tab, options) {
  navigator.locks.request(`stream/${tab.settings.owner}`, options, () => lead(tab)).catch(() => robbed(tab));
}

function lead(tab) {
  if (tab.role !== "follower") return undefined; // it left while it waited
  tab.role = "leader";
  clearTimeout(tab.silence);
  const { path, open } = tab.settings;
  tab.stream = open({ path, lastId: tab.lastId, onEvent: (event) => relay(tab, event), onState: (link) => relayLink(tab, link) });
  tab.beat = setInterval(() => tab.link && tab.channel.postMessage({ kind: "link", link: tab.link }), tab.settings.beatMs);
  return new Promise((resolve) => (tab.release = resolve));
}

/** Another tab took the lock (this one was frozen), or the waiting for it was given up. */
function robbed(tab) {
  if (tab.role !== "leader") return;
  stopStream(tab);
  join(tab);
}

function leave(tab) {
  clearTimeout(tab.silence);
  tab.queue?.abort();
  const wasLeader = tab.role === "leader";
  tab.role = "away";
  if (wasLeader) stopStream(tab);
  tab.release?.();
}

function stopStream(tab) {
  clearInterval(tab.beat);
  tab.role = "away";
  tab.stream?.close();
}

function relay(tab, event) {
  if (tab.role !== "leader") return;
  tab.channel.postMessage({ kind: "event", event });
  receive(tab, event);
}

function relayLink(tab, link) {
  if (tab.role !== "leader") return;
  tab.channel.postMessage({ kind: "link", link });
  showLink(tab, link);
}

/** Each tab remembers the last id, so that the next leader resumes without a gap. */
function receive(tab, event) {
  if (event.id !== null) tab.lastId = event.id;
  remember(tab, event);
  tab.settings.onEvent(event);
}

/** Of orders each event counts, of the canteen the newest state. */
function remember(tab, event) {
  if (event.type === "canteen.pulse") tab.pulse = [event];
  else if (event.type === "menu.changed") for (const item of JSON.parse(event.data).items) tab.menu.set(item.item_id, item);
  else tab.recent = [...tab.recent, event].slice(-REMEMBERED_EVENTS);
}

function remembered({ recent, menu, pulse }) {
  const items = [...menu.values()];
  const whole = { id: null, type: "menu.changed", data: JSON.stringify({ items }) };
  return [...recent, ...(items.length ? [whole] : []), ...pulse];
}

function showLink(tab, link) {
  tab.link = link;
  tab.settings.onState(link);
}

function onMessage(tab, message) {
  if (message.kind === "join") return welcome(tab, message.from);
  if (tab.role !== "follower") return;
  expectBeat(tab);
  if (message.kind === "event") receive(tab, message.event);
  if (message.kind === "link") showLink(tab, message.link);
  if (message.kind === "snapshot" && message.to === tab.id) for (const event of message.events) receive(tab, event);
}

function welcome(tab, to) {
  if (tab.role !== "leader") return;
  tab.channel.postMessage({ kind: "snapshot", to, events: remembered(tab) });
  if (tab.link) tab.channel.postMessage({ kind: "link", link: tab.link });
}

/** A little chance in the patience keeps two followers from taking the lock at once. */
function expectBeat(tab) {
  clearTimeout(tab.silence);
  tab.silence = setTimeout(() => takeLock(tab), tab.settings.silentMs * (1 + Math.random() / 8));
}

function takeLock(tab) {
  if (tab.role !== "follower") return;
  if (document.visibilityState === "hidden") return expectBeat(tab);
  tab.queue?.abort();
  hold(tab, { steal: true });
}
