/** The account panel: devices, password, signing out. Pure, but for the functions that ask identity. */
import { ask } from "./api.js";
import { now } from "./clock.js";
import { session } from "./session.js";
import { announce, focusOn } from "./ui.js";
import { t } from "./words.js";

function init() {
  return { list: "none", devices: [], ending: [], password: "idle", untilMs: 0, leaving: "idle" };
}

function act(state, event) {
  switch (event.type) {
    case "account/devices":
      return { ...state, list: event.list, devices: event.devices ?? state.devices, ending: [] };
    case "account/ending":
      return { ...state, ending: [...state.ending, event.id] };
    case "account/password":
      return { ...state, password: event.status, untilMs: event.untilMs ?? 0 };
    case "account/leaving":
      return { ...state, leaving: event.status };
    case "tick":
      return state.password === "too-many" ? waited(state) : state;
    default:
      return state;
  }
}

export const accountModel = { init, act };

function waited(state) {
  return now() >= state.untilMs ? { ...state, password: "idle" } : { ...state };
}

export async function loadDevices(dispatch) {
  dispatch({ type: "account/devices", list: "loading" });
  const answer = await ask("/v1/me/sessions");
  if (answer.status === 200) dispatch({ type: "account/devices", list: "ready", devices: answer.data.items });
  else dispatch({ type: "account/devices", list: "failed" });
}

export async function endDevice(id, dispatch) {
  dispatch({ type: "account/ending", id });
  const answer = await ask(`/v1/me/sessions/${id}`, { method: "DELETE" });
  announce(t(answer.status === 204 ? "account.devices.ended" : "account.devices.not_ended"));
  await loadDevices(dispatch);
}

/** Give whether it was changed; all other devices are signed out then. */
export async function changePassword({ oldPassword, newPassword }, dispatch) {
  dispatch({ type: "account/password", status: "sending" });
  const body = { old_password: oldPassword, new_password: newPassword };
  const answer = await ask("/v1/me/password", { method: "PUT", body, timeoutMs: 15_000 });
  const status = passwordStatus(answer);
  dispatch({ type: "account/password", status, untilMs: answer.at + 1000 * (answer.retryAfterS ?? 60) });
  announce(t(`account.password.${status}.spoken`), { urgent: status !== "done" });
  if (status === "done") await loadDevices(dispatch);
  else focusOn(status === "unusable" ? "#account-newPassword" : "#account-oldPassword");
  return status === "done";
}

function passwordStatus({ status }) {
  return { 204: "done", 403: "wrong", 400: "unusable", 429: "too-many" }[status] ?? "away";
}

export async function leave(dispatch) {
  dispatch({ type: "account/leaving", status: "sending" });
  const answer = await session.signOut();
  dispatch({ type: "account/leaving", status: answer.status === 204 ? "idle" : "away" });
  if (answer.status !== 204) announce(t("account.leave.away"), { urgent: true });
}

const BROWSERS = [
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(Chrome|CriOS|Chromium|HeadlessChrome)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];
const SYSTEMS = [
  [/Android/, "Android"],
  [/iPhone/, "iPhone"],
  [/iPad/, "iPad"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "Mac"],
  [/Linux|X11/, "Linux"],
];

/** What a User-Agent names, each null when it is not known. */
export function deviceOf(userAgent) {
  const found = (names) => names.find(([pattern]) => pattern.test(userAgent ?? ""))?.[1] ?? null;
  return { browser: found(BROWSERS), system: found(SYSTEMS) };
}
