/** What tells a student who looks elsewhere that the food is ready: the tab's title, a notification, a short buzz. */
import { now } from "../clock.js";
import { shortCode } from "../short_code.js";
import { t } from "../words.js";
import { shownOrder } from "./model.js";
import { stageName } from "./tracker_view.js";

const BUZZ_MS = 200;

/** "Ready 7F2A · Canteen" while there is an order. */
export function showTitle(state) {
  const order = shownOrder(state, now());
  const title = order ? t("page.title.order", { stage: stageName(order.status), code: shortCode(order.id) }) : t("page.name");
  if (document.title !== title) document.title = title;
}

/** What the browser lets this page do; "denied" where it has no notifications. */
export const permission = () => globalThis.Notification?.permission ?? "denied";

export function notifyReady(order) {
  navigator.vibrate?.(BUZZ_MS);
  if (permission() !== "granted" || document.visibilityState === "visible") return;
  try {
    new Notification(t("ready.title"), { body: t("tracker.code", { code: shortCode(order.id) }), tag: order.id });
  } catch {
    // Chrome on Android allows it from service workers alone; the title and the buzz remain
  }
}
