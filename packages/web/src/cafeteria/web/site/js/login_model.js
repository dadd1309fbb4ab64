/** Signing in, step by step: what the form says, and until when it waits. Pure, but for `signIn`. */
import { now } from "./clock.js";
import { session } from "./session.js";
import { announce, focusOn } from "./ui.js";
import { t } from "./words.js";

const AWAY_WAIT_S = 5;
const CHANGE_REQUIRED = "/problems/password-change-required";

function init() {
  return { status: "idle", untilMs: 0, studentId: "", oneTime: "", isShown: false, other: null, requestId: null };
}

/** The state after an event; `login/ended` brings a SessionChange. */
function act(state, event) {
  switch (event.type) {
    case "login/sent":
      return { ...state, status: "sending", studentId: event.studentId };
    case "login/answered":
      return answered(state, event);
    case "login/show":
      return { ...state, isShown: !state.isShown };
    case "login/back":
      return init();
    case "login/ended":
      return ended(state, event);
    case "tick":
      return state.status === "too-many" && now() >= state.untilMs ? { ...state, status: "idle" } : waited(state);
    default:
      return state;
  }
}

export const loginModel = { init, act };

/** A new object, so that the countdown is drawn. */
function waited(state) {
  return state.status === "too-many" || state.status === "away" ? { ...state } : state;
}

function answered(state, { answer, fields }) {
  const until = (seconds) => answer.at + 1000 * seconds;
  const isChoosing = fields.newPassword !== undefined;
  if (answer.status === 200) return init();
  if (answer.problem?.type === CHANGE_REQUIRED) return { ...state, status: "choose", oneTime: fields.password };
  if (answer.status === 401) return { ...init(), status: "wrong", studentId: state.studentId, isShown: state.isShown };
  if (answer.status === 429) return { ...state, status: "too-many", untilMs: until(answer.retryAfterS ?? 60) };
  if (isAway(answer)) return { ...state, status: "away", untilMs: until(answer.retryAfterS ?? AWAY_WAIT_S) };
  if (answer.status === 400) return { ...state, status: isChoosing ? "unusable" : "invalid" };
  return { ...state, status: "broken", requestId: answer.requestId };
}

function ended(state, { reason, other }) {
  if (reason === "expired") return { ...state, status: "expired" };
  return reason === "other-person" ? { ...state, status: "other", other } : state;
}

function isAway(answer) {
  return answer.status === 0 || answer.status === 502 || answer.status === 503 || answer.status === 504;
}

let latest = 0;
let retry = 0;

/** Sign in, with the steps as events. While identity is away it is asked again, until it answers or others are sent. */
export async function signIn(fields, dispatch) {
  const mine = ++latest;
  clearTimeout(retry);
  dispatch({ type: "login/sent", studentId: fields.studentId });
  const answer = await session.signIn(fields);
  if (mine !== latest) return;
  dispatch({ type: "login/answered", answer, fields });
  say(answer, fields);
  if (isAway(answer)) retry = setTimeout(() => signIn(fields, dispatch), 1000 * (answer.retryAfterS ?? AWAY_WAIT_S));
}

/** The form is left: what was being tried is given up. */
export function stopSigningIn() {
  latest += 1;
  clearTimeout(retry);
}

const SENTENCES = { 401: "login.error.wrong", 403: "login.choose.spoken", 429: "login.error.too_many.spoken", 400: "login.error.invalid" };

function say(answer, { newPassword }) {
  if (answer.status === 200) return;
  const key = newPassword !== undefined && answer.status === 400 ? "login.error.unusable" : SENTENCES[answer.status];
  const away = isAway(answer) ? "login.error.away.spoken" : "login.error.broken.spoken";
  announce(t(key ?? away), { urgent: answer.status === 401 || answer.status === 400 });
  if (answer.status === 401) focusOn("#login-password");
  if (answer.status === 403 || newPassword !== undefined) focusOn("#login-new-password");
}
