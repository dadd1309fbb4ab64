/**
 * Server-sent events over fetch. Unlike EventSource it sees the comments, by which a frozen stream is noticed, and the
 * status of a refusal.
 */
import { address, fetchOptions } from "./api.js";
import { hear, now } from "./clock.js";
import { session } from "./session.js";

const SILENCE_MS = 25_000; // the server sends a comment every 15 s
const PULSE = "canteen.pulse"; // says when the next one comes; three may be late
const SHORT_LIFE_MS = 1_000; // one that ends sooner was none: no loop without a pause
const BACK_OFF_S = [1, 2, 4, 5];

const realClock = {
  now,
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** Keep a stream open (`StreamOptions`) until it is closed. After a loss it resumes behind the last event. */
export function openStream(options) {
  const settings = { ...standard(), ...options };
  const self = { lastId: options.lastId ?? "", lastByteAt: settings.clock.now(), failures: 0, isClosed: false };
  self.request = new AbortController();
  self.wake = () => {};
  run(self, settings);
  return {
    close: () => close(self, settings),
    get lastId() {
      return self.lastId;
    },
  };
}

function standard() {
  const open = (...request) => fetch(...request);
  return { clock: realClock, onState: () => {}, open, renew: session.renew, isSignedIn: () => session.who !== null };
}

async function run(self, settings) {
  show(self, settings, "connecting");
  while (!self.isClosed) {
    const outcome = await attempt(self, settings);
    if (self.isClosed) return;
    self.failures = outcome.isLive ? 0 : self.failures + 1;
    const isOver = outcome.status === 401 && !(await settings.renew()) && !settings.isSignedIn();
    if (self.isClosed) return;
    if (isOver) return show(self, settings, "refused");
    show(self, settings, "reconnecting");
    await pause(self, settings.clock, waitMs(outcome, self.failures, settings.clock.random()));
  }
}

/** One stream from its request to its end. `isLive`: it ran. */
async function attempt(self, settings) {
  self.request = new AbortController();
  const watch = watchDog(self, settings.clock);
  const beganAt = settings.clock.now();
  let status = 0;
  try {
    const response = await settings.open(address(settings.path), request(self));
    status = response.status;
    if (!isStream(response)) return await refused(response);
    hear(response.headers.get("Date"));
    watch.reset();
    show(self, settings, "live");
    await readAll(response.body, self, settings, watch.reset);
  } catch {
    // the network, the watch-dog or `close` ended it: what follows is the same
  } finally {
    watch.stop();
  }
  return { status, retryAfterS: NaN, isLive: status === 200 && settings.clock.now() - beganAt >= SHORT_LIFE_MS };
}

function request(self) {
  const resume = self.lastId ? { "Last-Event-ID": self.lastId } : {};
  return { ...fetchOptions(), headers: { Accept: "text/event-stream", ...resume }, signal: self.request.signal };
}

function isStream(response) {
  return response.ok && (response.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
}

async function refused(response) {
  await response.body?.cancel();
  const retryAfterS = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return { status: response.ok ? 0 : response.status, retryAfterS, isLive: false };
}

async function readAll(body, self, settings, onByte) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const feed = parser();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    onByte();
    for (const event of feed(decoder.decode(part.value, { stream: true }))) take(event, self, settings);
  }
}

function take(event, self, settings) {
  if (event.id !== null) self.lastId = event.id;
  if (event.type === PULSE) self.silenceMs = 3000 * JSON.parse(event.data).next_s + 1000;
  if (event.data !== null && !self.isClosed) settings.onEvent(event);
}

/** Milliseconds until the next attempt. A stream that ran is followed at once: its token has expired. */
export function waitMs({ status, retryAfterS, isLive }, failures, random) {
  if (isLive || (status === 401 && failures === 1)) return 0;
  if (!Number.isNaN(retryAfterS)) return 1000 * retryAfterS * (1 + random / 2);
  return 1000 * BACK_OFF_S[Math.min(failures, BACK_OFF_S.length) - 1] * (0.5 + random);
}

function pause(self, clock, ms) {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => self.wake());
    self.wake = () => {
      cancel();
      globalThis.removeEventListener?.("online", self.wake);
      resolve();
    };
    globalThis.addEventListener?.("online", self.wake);
  });
}

/** Abort what gives no byte for SILENCE_MS; where pulses come, and the page is seen, for the time of three and a second. */
function watchDog(self, clock) {
  const { request } = self;
  self.silenceMs = SILENCE_MS;
  const isHidden = () => globalThis.document?.visibilityState === "hidden"; // its timers are held back
  let stop = clock.after(SILENCE_MS, () => request.abort());
  const reset = () => {
    self.lastByteAt = clock.now();
    stop();
    stop = clock.after(isHidden() ? SILENCE_MS : self.silenceMs, () => request.abort());
  };
  return { reset, stop: () => stop() };
}

function show(self, settings, state) {
  const failures = state === "live" ? 0 : self.failures;
  settings.onState({ state, failures, at: self.lastByteAt });
}

function close(self, settings) {
  if (self.isClosed) return;
  self.isClosed = true;
  self.request.abort();
  self.wake();
  show(self, settings, "closed");
}

/** Takes the parts of one stream as they arrive, and gives the `StreamEvent`s that each completes (HTML standard, 9.2.6). Pure. */
export function parser() {
  let rest = "";
  let isAfterCr = false;
  let id = null;
  let block = empty();

  return function feed(part) {
    const text = isAfterCr && part.startsWith("\n") ? part.slice(1) : part;
    isAfterCr = part.endsWith("\r");
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop();
    return lines.flatMap(take);
  };

  function take(line) {
    if (line !== "") return read(line);
    const event = { id, type: block.type || "message", data: block.data?.join("\n") ?? null };
    const isEvent = block.data !== null || block.hasId;
    block = empty();
    return isEvent ? [event] : [];
  }

  function read(line) {
    const colon = line.indexOf(":");
    const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (name === "data") (block.data ??= []).push(value);
    if (name === "event") block.type = value;
    if (name === "id" && !value.includes("\0")) [id, block.hasId] = [value, true];
    return [];
  }
}

function empty() {
  return { type: "", data: null, hasId: false };
}
