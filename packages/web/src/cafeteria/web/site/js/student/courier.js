/**
 * Carries the student's order to the gateway: keeps its record, sends it, and goes on after a reload.
 *
 * All tabs of a browser show one basket and one order. The tab that holds the Web Lock `order/<student>` is the only one
 * that sends; the others show what it tells them, pass their presses on to it, and continue when it is closed or frozen.
 */
import { ask } from "../api.js";
import { now } from "../clock.js";
import { EMPTY, isPending, next } from "../machine.js";
import { session } from "../session.js";
import { del, get, put } from "../store.js";

const NOBODY = "nobody"; // whose basket it is before anybody has signed in
const BEAT_MS = 2_000;
const SILENT_TAB_MS = 6_000; // three beats
const KEY_LENGTH = 22; // of 62 letters: 131 bits
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** `onMachine` gets the machine after every change, `onOrder` an order as the gateway answered it, `onCancel` an id to cancel. */
export function startCourier(options) {
  const self = { ...options, machine: EMPTY, student: NOBODY, turn: null, isHolder: false, isQueued: false, heardAt: 0, timer: 0, isBasketKept: true, reading: null };
  self.written = Promise.resolve();
  self.channel = globalThis.BroadcastChannel ? new BroadcastChannel("order") : null;
  self.channel?.addEventListener("message", ({ data }) => data.student === self.student && hear(self, data));
  setInterval(() => beat(self), BEAT_MS);
  for (const type of ["online", "offline"]) globalThis.addEventListener(type, () => act(self, { type }));
  document.addEventListener("visibilitychange", () => isVisible() && act(self, { type: "visible" }));
  return {
    act: (event) => whenRead(self, () => act(self, event)),
    /** `change` makes new lines of the lines. */
    edit: (change) => whenRead(self, () => act(self, { type: "lines", lines: change(self.machine.lines) })),
    /** Show what is kept of a student; null: of nobody. */
    belongTo(studentId) {
      const reading = belongTo(self, studentId ?? NOBODY).finally(() => (self.reading = self.reading === reading ? null : self.reading));
      self.reading = reading;
    },
  };
}

/** A press while the basket is being read waits for it. */
const whenRead = (self, act) => (self.reading ? self.reading.then(act) : act());

const isVisible = () => document.visibilityState === "visible";

function act(self, event) {
  const isOthers = isPending(self.machine) && self.turn !== null && !self.isHolder;
  return isOthers ? tell(self, { event }) : step(self, event);
}

function step(self, event) {
  const before = self.machine;
  const { machine, effects } = next(before, { ...circumstances(self), ...event });
  self.machine = machine;
  if (machine !== before) changed(self, before, event);
  for (const effect of effects) EFFECTS[effect.do](self, effect);
  if (!isPending(machine)) release(self);
}

function circumstances({ student }) {
  const isSignedIn = session.who?.student_id === student; // the cookies may be another person's
  return { now: now(), random: Math.random(), key: newKey(), isOnline: navigator.onLine, isSignedIn };
}

function changed(self, before, { type }) {
  const { machine } = self;
  const isNewBasket = machine.lines !== before.lines || machine.key !== before.key;
  const isWaiting = isPending(machine) && !self.isHolder; // two tabs pressed at once: only what has its turn counts
  if (type !== "load" && !isWaiting) tell(self, { machine });
  if (type !== "load" && isNewBasket) keepBasket(self);
  clearTimeout(self.timer);
  const isMine = self.isHolder && machine.until !== null;
  if (isMine) self.timer = setTimeout(() => act(self, { type: "timer" }), Math.max(0, machine.until - now()));
  self.onMachine(machine);
}

const EFFECTS = {
  async store(self, { record }) {
    const { student } = self;
    if (!record.order_id && !(await hasTurn(self, record))) return;
    const outcome = await write(self, put(`order/${student}`, record));
    if (student === self.student) step(self, { type: outcome });
  },
  async post(self, { key, body }) {
    const { student } = self;
    const answer = await ask("/v1/orders", { method: "POST", body, key });
    if (student === self.student && self.isHolder) step(self, { type: "answer", answer });
  },
  forget: (self) => write(self, del(`order/${self.student}`)),
  follow: (self, { order }) => self.onOrder(order),
  cancel: (self, { orderId }) => self.onCancel(orderId),
};

/** Wait for the turn. If another tab has meanwhile sent the same basket, or left an order open, show that and send nothing. */
async function hasTurn(self, record) {
  const { machine, student } = self;
  const kept = await readInTurn(self);
  if (!kept || student !== self.student) return false;
  self.isHolder = true;
  const isNewest = kept.record ? kept.record.key === record.key : kept.basket?.key === record.key || !self.isBasketKept;
  if (self.machine === machine && isNewest) return true;
  step(self, { type: "load", ...kept });
  return false;
}

/** What is kept when the turn has come, or null when it was given up meanwhile. */
async function readInTurn(self, { steal = false } = {}) {
  const { student } = self;
  self.turn ??= take(`order/${student}`, { steal });
  const { turn } = self;
  (await turn).lost.then(() => robbed(self, turn));
  const kept = await read(student);
  return self.turn === turn ? kept : null;
}

async function read(student) {
  const [record, basket] = await Promise.all([get(`order/${student}`), get(`basket/${student}`)]);
  return { record: record ?? null, basket: basket ?? null };
}

function robbed(self, turn) {
  if (self.turn !== turn) return;
  clearTimeout(self.timer);
  self.turn = null;
  self.isHolder = false;
  if (isPending(self.machine)) queue(self);
}

/** Another tab may only read what is kept after it was written. */
function release(self) {
  const { turn, written } = self;
  self.turn = null;
  self.isHolder = false;
  self.isQueued = false;
  turn?.then(async (held) => {
    await written;
    held.release();
  });
}

/** Wait for the turn, to go on with an order that the other tab does not finish. */
async function queue(self, options) {
  if (self.turn !== null) return;
  self.isQueued = true;
  self.heardAt = performance.now();
  const kept = await readInTurn(self, options);
  if (!kept) return;
  self.isQueued = false;
  self.isHolder = true;
  step(self, { type: "load", ...kept });
}

/** The tab that sends repeats its state; a visible tab that waits and gets nothing takes over from a frozen one. */
function beat(self) {
  if (!isPending(self.machine)) return;
  if (self.isHolder) return tell(self, { machine: self.machine });
  const isSilent = performance.now() - self.heardAt > SILENT_TAB_MS;
  if (!self.isQueued || !isSilent || !isVisible()) return;
  release(self);
  queue(self, { steal: true });
}

function hear(self, { machine, event, question }) {
  if (question) return self.isHolder && tell(self, { machine: self.machine });
  if (event) return self.isHolder && step(self, event);
  if (self.isHolder) return undefined;
  self.heardAt = performance.now();
  self.machine = machine;
  self.onMachine(machine);
  return isPending(machine) ? queue(self) : release(self);
}

function tell(self, message) {
  self.channel?.postMessage({ student: self.student, ...message });
}

/** A basket filled before signing in becomes the student's, and a press that asked to sign in goes on. */
async function belongTo(self, student) {
  const { machine } = self;
  const isSame = student === self.student;
  if (isSame && machine.name === "signin" && !machine.isStored) return step(self, { type: "signed-in" });
  const isFirst = self.student === NOBODY && student !== NOBODY;
  const hasPressed = isFirst && self.machine.name === "signin";
  leave(self, student);
  if (isFirst) await inherit(self);
  const kept = await read(student);
  if (student !== self.student) return undefined;
  step(self, { type: "load", ...kept });
  if (isPending(self.machine)) resume(self);
  else if (hasPressed) step(self, { type: "press" });
  return undefined;
}

/** An order without an answer is this tab's to send, unless another tab is at it. */
function resume(self) {
  tell(self, { question: true });
  queue(self);
}

function leave(self, student) {
  clearTimeout(self.timer);
  release(self);
  self.student = student;
  self.machine = EMPTY;
}

async function inherit(self) {
  const { student } = self;
  const filled = await get(`basket/${NOBODY}`);
  if (!filled?.lines.length) return;
  await write(self, put(`basket/${student}`, filled));
  await write(self, del(`basket/${NOBODY}`));
}

/** While an order is not confirmed its key is still in use, so the next basket is kept without one. */
async function keepBasket(self) {
  const { lines, key, name } = self.machine;
  const at = `basket/${self.student}`;
  const kept = { lines, key: name === "received" ? null : key };
  const outcome = await write(self, lines.length === 0 ? del(at) : put(at, kept));
  self.isBasketKept = outcome === "stored";
}

/** A browser without room on its disk refuses: "unstored". */
function write(self, promise) {
  const outcome = promise.then(() => "stored", () => "unstored");
  self.written = Promise.all([self.written, outcome]);
  return outcome;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(2 * KEY_LENGTH));
  const fair = [...bytes].filter((byte) => byte < 4 * LETTERS.length);
  return fair.length < KEY_LENGTH ? newKey() : fair.slice(0, KEY_LENGTH).map((byte) => LETTERS[byte % LETTERS.length]).join("");
}

/**
 * Wait for a Web Lock, and keep it until it is released; `lost` is resolved when another tab steals it. Without locks (plain
 * http from another machine) every tab has its turn at once, and the order's key alone prevents a second order.
 */
function take(name, { steal = false } = {}) {
  const { locks } = globalThis.navigator ?? {};
  if (!locks) return Promise.resolve({ release() {}, lost: new Promise(() => {}) });
  return new Promise((granted) => {
    const { promise: lost, resolve: lose } = deferred();
    const held = (lock) => lock && new Promise((release) => granted({ release, lost }));
    locks.request(name, { steal }, held).catch(lose);
  });
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
