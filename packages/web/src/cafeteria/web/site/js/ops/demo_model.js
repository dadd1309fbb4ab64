/** The demo's controls as the supervisor describes them. Pure. Where `GET /demo` does not exist, there are none. */

export const MOST_STUDENTS = 200;
export const LONGEST_WITHIN_S = 60;
/** Every service needs these, so switching one off is asked twice. */
const SHARED = new Set(["postgres", "nats"]);

/**
 * @typedef {{name: string, state: "running"|"starting"|"stopped"|"frozen", pid: number|null, restarts: number, since: string}} Member
 * @typedef {{state: "running"|"ended", students: number, placed: number, accepted: number, received: number, refused: number,
 *   busy: number, ready: number, p50_ms: number|null, p95_ms: number|null, lost: number|null}} Crowd
 * @typedef {{status: "unknown"|"absent"|"present"|"silent", members: Member[], kitchenMode: string|null, crowd: Crowd|null,
 *   busy: Object<string, string>, refusals: Object<string, {code: string, requestId: string|null}>,
 *   draft: {students: string, withinS: string, isHot: boolean}, isWrong: boolean}} Demo keys of `busy` and `refusals`: a member's
 *   name, "kitchen-mode", "crowd"
 */

/** @returns {Demo} */
export const emptyDemo = () => ({
  status: "unknown",
  members: [],
  kitchenMode: null,
  crowd: null,
  busy: {},
  refusals: {},
  draft: { students: String(MOST_STUDENTS), withinS: "10", isHot: false },
  isWrong: false,
});

/** @returns {Demo} after an answer of `GET /demo`. Controls that were there once are silent, not absent. */
export function afterDemo(demo, answer) {
  if (answer.status === 200 && Array.isArray(answer.data?.members)) {
    const { members, kitchen_mode: kitchenMode, crowd } = answer.data;
    return { ...demo, status: "present", members, kitchenMode: kitchenMode ?? null, crowd: crowd ?? null };
  }
  if (demo.status === "present" || demo.status === "silent") return { ...demo, status: "silent" };
  return { ...demo, status: answer.status === 0 ? "unknown" : "absent" };
}

export const isPresent = (demo) => demo.status === "present" || demo.status === "silent";

/** What may be asked of a member in its state; the first is the switch. */
export function actions({ state }) {
  if (state === "stopped") return ["on"];
  return state === "frozen" ? ["off", "kill", "thaw"] : ["off", "kill", "freeze"];
}

/** Is this asked twice? Everything that takes Postgres or NATS away from all services is. */
export const needsConfirmation = (name, action) => SHARED.has(name) && ["off", "kill", "freeze"].includes(action);

/** @returns {{students: number, within_s: number, hot: boolean}|null} what starts a crowd; null if a number is none */
export function crowdRequest({ students, withinS, isHot }) {
  const [count, within] = [students, withinS].map((text) => (/^[0-9]{1,3}$/.test(text.trim()) ? Number(text) : NaN));
  const isPossible = count >= 1 && count <= MOST_STUDENTS && within <= LONGEST_WITHIN_S;
  return isPossible ? { students: count, within_s: within, hot: isHot } : null;
}
