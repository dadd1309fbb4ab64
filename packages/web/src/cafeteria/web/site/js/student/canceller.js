/** Cancels orders: asks again while the kitchen is silent or the store has not decided, and stops when a student stops it. */
import { ask } from "../api.js";
import { now } from "../clock.js";
import { codeOf } from "../machine.js";

const UNDECIDED_MS = 2_000;
const UNDECIDED_TIMES = 3;
const LONGEST_PAUSE_S = 15;

export function startCanceller({ onStep, onOrder }) {
  const running = new Map();
  const stop = (id) => {
    clearTimeout(running.get(id)?.timer);
    running.delete(id);
    onStep(id, null);
  };
  const cancel = (id) => {
    if (running.has(id)) return;
    const self = { id, timer: 0, silences: 0, undecided: 0, onStep, onOrder };
    self.isStopped = () => running.get(id) !== self;
    self.end = () => running.delete(id);
    running.set(id, self);
    attempt(self);
  };
  return { cancel, stop };
}

async function attempt(self) {
  self.onStep(self.id, { step: "asking" });
  const answer = await ask(`/v1/orders/${self.id}/cancel`, { method: "POST" });
  if (self.isStopped()) return;
  OUTCOMES[outcomeOf(answer)](self, answer);
}

function outcomeOf({ status, problem }) {
  if (status === 200) return "cancelled";
  if (codeOf(problem) === "too-late-to-cancel") return "late";
  if (codeOf(problem) === "order-undecided") return "undecided";
  return status === 0 || status >= 500 ? "silent" : "failed";
}

const OUTCOMES = {
  cancelled(self, { data }) {
    end(self, null);
    self.onOrder(data);
  },
  async late(self) {
    end(self, { step: "late" });
    const { status, data } = await ask(`/v1/orders/${self.id}`);
    if (status === 200) self.onOrder(data);
  },
  undecided(self) {
    self.undecided += 1;
    if (self.undecided > UNDECIDED_TIMES) return end(self, { step: "undecided-over" });
    return again(self, { step: "undecided" }, UNDECIDED_MS);
  },
  silent(self, { retryAfterS }) {
    self.silences += 1;
    const pauseS = Math.max(retryAfterS ?? 0, Math.min(2 ** self.silences, LONGEST_PAUSE_S));
    const waitMs = Math.round(1000 * pauseS * (1 + Math.random() / 2));
    return again(self, { step: "silent", until: now() + waitMs }, waitMs);
  },
  failed: (self, { requestId }) => end(self, { step: "failed", requestId }),
};

function end(self, cancel) {
  self.end();
  self.onStep(self.id, cancel);
}

function again(self, cancel, waitMs) {
  self.timer = setTimeout(() => attempt(self), waitMs);
  self.onStep(self.id, cancel);
}
