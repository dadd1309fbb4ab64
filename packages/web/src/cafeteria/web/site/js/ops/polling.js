/** The reading that goes on by itself while the page is visible and not paused. */

import { ask } from "../api.js";
import { every, now } from "../clock.js";
import { session } from "../session.js";
import { afterDemo, isPresent } from "./demo_model.js";
import { SERVICES, access, afterPulse, forgotten } from "./model.js";

const PULSE_MS = 1_000;
const PULSE_TIMEOUT_MS = 2_000; // after it a service counts as silent
const SIGNED_OUT_MS = 3_000;
const DEMO_MS = 1_000;
const DEMO_BESIDE_MS = 5_000; // while another section is shown: only whether there are controls
const DEMO_TIMEOUT_MS = 3_000;

/**
 * @param {{state: object}} page
 * @param {(part: string, change: Function, ...values: unknown[]) => void} update
 * @returns {{demo: () => Promise<void>}} readings that an action asks for at once
 */
export function startPolling(page, update) {
  for (const service of SERVICES) every(PULSE_MS, () => readPulse(service, page, update));
  let demoAt = -Infinity;
  const readDemo = async () => {
    demoAt = Date.now();
    update("demo", afterDemo, await ask("/demo", { timeoutMs: DEMO_TIMEOUT_MS, renew: false }));
  };
  every(DEMO_MS, () => (isDemoDue(page.state, demoAt) ? readDemo() : undefined));
  return { demo: readDemo };
}

/** Signed out, identity alone is asked, and seldom: whether signing in is possible again. */
async function readPulse(service, page, update) {
  const { now: picture } = page.state;
  if (picture.pausedAt !== null) return;
  const isOut = access(picture) === "out";
  const row = picture.rows[service];
  if (isOut && (service !== "identity" || now() - (row.at ?? 0) < SIGNED_OUT_MS)) return;
  const renew = !isOut && session.who !== null;
  const answer = await ask(`/v1/ops/${service}`, { timeoutMs: PULSE_TIMEOUT_MS, renew });
  update("now", afterPulse, service, answer, now());
  if (isOut && isBack(row, page.state.now.rows[service]) && (await session.renew())) update("now", forgotten);
}

const isBack = (before, after) => !isAnswering(before) && isAnswering(after);
const isAnswering = ({ kind }) => kind !== "down" && kind !== "silent";

/** Controls that are not there stay away: they are wired in when the system starts. */
function isDemoDue({ now: picture, demo, section }, readAt) {
  if (picture.pausedAt !== null || demo.status === "absent") return false;
  const pause = section === "demo" && isPresent(demo) ? DEMO_MS : DEMO_BESIDE_MS;
  return Date.now() - readAt >= pause - DEMO_MS / 2;
}
