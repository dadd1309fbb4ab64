/** What the page says about an order that is not placed yet, and what a student can do then. Pure: a state to a notice. */
import { countdown } from "../clock.js";
import { canCancel, canChange, codeOf } from "../machine.js";
import { judge } from "../menu.js";
import { day, t } from "../words.js";

export function noticeOf({ machine, menu }) {
  return NOTICES[machine.name]?.(machine, menu) ?? null;
}

const NOTICES = {
  ready: (machine) => (machine.why === "storage" ? bad(t("order.storage")) : null),
  waiting: (machine, menu) => warn(WAITING[machine.why](machine, menu), waitingChoices(machine)),
  unsure: (machine) => warn(unsureText(machine), waitingChoices(machine)),
  parked(machine) {
    const key = machine.goal === "cancel" ? "order.offline.cancelling" : "order.offline";
    return warn(t(key), waitingChoices(machine).slice(1));
  },
  received: ({ lines }) => (lines.length ? { tone: "info", sentence: t("basket.blocked.received"), choices: [] } : null),
  refused: (machine, menu) => REFUSED[codeOf(machine.problem)](machine, menu),
  broken: ({ problem }) => bad(t("order.broken", { request_id: problem.request_id ?? "–" }), [
    { label: t("order.broken.again"), event: { type: "order/back" } },
  ]),
  lapsed: ({ sentAt }) => warn(t("order.lapsed", { time: day(sentAt) }), []),
};

const warn = (sentence, choices) => ({ tone: "warn", sentence, choices });
const bad = (sentence, choices = []) => ({ tone: "bad", sentence, choices });

const WAITING = {
  busy: ({ until }) => t("order.busy", { s: countdown(until) }),
  session: ({ until }) => t("order.session", { s: countdown(until) }),
  limit({ until, problem, lines }) {
    const dishes = namesOf(problem?.item_ids, lines);
    const wait = waitText(countdown(until));
    return dishes ? t("order.limit.dish", { dishes, wait }) : t("order.limit", { wait });
  },
};

const waitText = (s) => (s < 100 ? t("order.limit.wait_s", { n: s }) : t("order.limit.wait_min", { n: Math.ceil(s / 60) }));

function unsureText({ goal, until }) {
  const s = countdown(until);
  if (goal === "cancel") return t("order.cancelling", { s });
  return s > 0 ? t("order.unsure", { s }) : t("order.unsure.now");
}

function waitingChoices(machine) {
  const again = { label: t("order.try"), event: { type: "order/try" }, isMain: true };
  const change = { label: t("order.change"), event: { type: "order/change" } };
  const cancel = { label: t("order.cancel"), event: { type: "order/cancel" } };
  return [again, ...(canChange(machine) ? [change] : []), ...(canCancel(machine) ? [cancel] : [])];
}

const REFUSED = {
  "out-of-stock"({ problem, lines }, menu) {
    const gone = goneOf(problem, lines, menu);
    const dishes = namesOf(gone, lines);
    return bad(dishes ? t("refused.stock", { dishes }) : t("refused.stock.unknown"), removing(gone, lines));
  },
  "unknown-item"({ problem, lines }, menu) {
    const gone = goneOf(problem, lines, menu);
    const dishes = namesOf(gone, lines);
    return bad(dishes ? t("refused.item", { dishes }) : t("refused.item.unknown"), removing(gone, lines));
  },
  expired: () => bad(t("refused.expired")),
};

/** The items that were refused. A refusal that came by the stream does not name them: then the newest menu tells. */
function goneOf(problem, lines, menu) {
  if (problem.item_ids?.length) return problem.item_ids;
  return judge(lines, menu.items).filter(({ trouble }) => trouble !== null).map(({ item_id }) => item_id);
}

function namesOf(ids, lines) {
  return lines.filter(({ item_id }) => ids?.includes(item_id)).map(({ name }) => name).join(", ");
}

function removing(gone, lines) {
  const rest = lines.filter(({ item_id }) => !gone.includes(item_id));
  const other = { label: t("refused.other"), event: { type: "order/other" } };
  const canOrderRest = rest.length > 0 && rest.length < lines.length;
  return canOrderRest ? [{ label: t("refused.rest"), event: { type: "order/rest", lines: rest }, isMain: true }, other] : [other];
}
