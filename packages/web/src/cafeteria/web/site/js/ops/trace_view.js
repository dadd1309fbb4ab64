/** One order: a field to find it, and all that the services know of it in one line of time. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { icon } from "../ui.js";
import { day, money, speak, t, time } from "../words.js";
import { field, notice, once, submitted } from "./controls.js";
import { away, isRead, isUnknown, timeline } from "./trace_model.js";

await speak("trace");

const FACTS = {
  "gateway/received": "trace.gateway.received",
  "gateway/stock-verified": "trace.gateway.verified",
  "gateway/rejected": "trace.gateway.rejected",
  "gateway/in-kitchen": "trace.gateway.in-kitchen",
  "gateway/ready": "trace.gateway.ready",
  "gateway/collected": "trace.gateway.collected",
  "gateway/cancelled": "trace.gateway.cancelled",
  "gateway/kitchen-seen": "trace.gateway.kitchen-seen",
  "gateway/released": "trace.gateway.released",
  "stock/reserved": "trace.stock.reserved",
  "stock/rejected": "trace.stock.rejected",
  "stock/deducted": "trace.stock.deducted",
  "stock/given-back": "trace.stock.given-back",
  "stock/released": "trace.stock.released",
  "kitchen/received": "trace.kitchen.received",
  "kitchen/started": "trace.kitchen.started",
  "kitchen/ready": "trace.kitchen.ready",
  "kitchen/collected": "trace.kitchen.collected",
  "kitchen/cancelled": "trace.kitchen.cancelled",
  "notification/logged": "trace.notification.logged",
  "notification/delivered": "trace.notification.delivered",
};
const REASONS = {
  OUT_OF_STOCK: "trace.reason.sold-out",
  UNKNOWN_ITEM: "trace.reason.unknown-item",
  EXPIRED: "trace.reason.expired",
  KITCHEN: "trace.reason.kitchen",
};
const WAITED = {
  decision: "trace.waited.decision",
  cook: "trace.waited.cook",
  cooking: "trace.waited.cooking",
  collect: "trace.waited.collect",
  release: "trace.waited.release",
  ended: "trace.waited.ended",
};
const WAITS = {
  decision: "trace.waits.decision",
  cook: "trace.waits.cook",
  cooking: "trace.waits.cooking",
  collect: "trace.waits.collect",
  release: "trace.waits.release",
};

export function view(state, does) {
  const { order } = state;
  return order.trace ? traceView(state, does) : html`<section class="stack section" aria-labelledby="title">
    <h1 id="title" tabindex="-1">${t("trace.title")}</h1>
    ${searchView(order, does)} ${foundView(order, does)}
  </section>`;
}

function searchView({ typed, found }, does) {
  const error = found?.status === "wrong" ? t("trace.wrong") : "";
  return html`<form class="row fields find" role="search" @submit=${submitted(does.findOrder)}>
    ${field({ id: "which-order", label: t("trace.which"), value: typed, error, hint: t("trace.hint"), input: does.typeOrder })}
    <button type="submit" class="button primary">${t("trace.find")}</button>
  </form>`;
}

function foundView({ found }, does) {
  if (!found || found.status === "wrong") return nothing;
  if (found.status === "loading") return notice("info", "todo", t("trace.looking"));
  if (found.status === "none") return html`<p class="muted">${t("trace.none")}</p>`;
  const failed = found.status === "failed" ? notice("bad", "cross", t("trace.failed")) : nothing;
  return html`${failed}
    ${found.items.length ? html`<h2>${t("trace.of-student", { id: found.student })}</h2>` : nothing}
    <ul class="plain people">${found.items.map(orderRow)}</ul>
    ${found.cursor ? once({ id: "more-orders", label: t("ops.more"), act: does.moreOrders }) : nothing}`;
}

function orderRow({ id, status, created_at: createdAt, lines }) {
  const dishes = lines.map((line) => line.name ?? line.item_id).join(", ");
  return html`<li><a class="person order-row" href=${`#order/${id}`}>
    <span class="person-id">${day(createdAt)}</span><span>${dishes}</span><span class="muted">${status}</span>
  </a></li>`;
}

function traceView({ order: { trace }, clock }, does) {
  return html`<section class="stack section" aria-labelledby="title">
    <p><a class="button quiet back" href="#order">${icon("back")}${t("trace.back")}</a></p>
    <div class="spread"><h1 id="title" tabindex="-1" class="order-title">${t("trace.order", { id: trace.orderId })}</h1>
      ${once({ id: "read-order", label: t("trace.again"), act: does.readOrder, busy: !isRead(trace) })}</div>
    ${away(trace).map((service) => notice("bad", "cross", t("trace.away", { service })))}
    ${isUnknown(trace) ? html`<p>${t("trace.unknown")}</p>` : nothing}
    ${isRead(trace) ? nothing : notice("info", "todo", t("trace.looking"))}
    <ol class="plain trace" aria-label=${t("trace.list")}>${timeline(trace, clock).map(entryRow)}</ol>
  </section>`;
}

function entryRow(entry) {
  const text = TEXTS[entry.kind](entry);
  if (entry.kind !== "fact") return html`<li class="trace-gap"><span></span><span></span><span>${text}</span></li>`;
  return html`<li><span class="trace-time">${exactly(entry.ms)}</span><span class="muted">${entry.service}</span><span>${text}</span></li>`;
}

const seconds = (ms) => Math.round(ms / 100) / 10;
const TEXTS = {
  waited: ({ stage, sinceMs, ms }) => t(WAITED[stage], { s: seconds(ms), time: time(sinceMs, { seconds: true }) }),
  waits: ({ stage, sinceMs, ms }) => t(WAITS[stage], { s: Math.floor(ms / 1000), time: time(sinceMs, { seconds: true }) }),
  fact: sentenceOf,
};

/** A fact that this page does not know yet is shown by its name. */
function sentenceOf({ service, what, detail }) {
  const key = FACTS[`${service}/${what}`];
  if (!key) return t("trace.other", { what });
  const sentence = t(key, valuesOf(detail));
  const more = moreOf(detail);
  return more ? t("trace.with-more", { sentence, more }) : sentence;
}

const valuesOf = (detail) => ({ ...detail, n: Number(detail.lines ?? detail.portions ?? 0) });

/** What only some facts have stands behind the sentence. */
function moreOf({ reason, station, total }) {
  if (reason) return t(REASONS[reason] ?? "trace.reason.other", { reason });
  if (station) return t("trace.station", { station });
  return total ? money(total) : "";
}

/** The time to the millisecond: several services act within one second. */
function exactly(ms) {
  return `${time(ms, { seconds: true })}.${String(ms % 1000).padStart(3, "0")}`;
}
