/** The picture of now: what is wrong in one line, the figures of the gateway, the grid of services, and what lies behind. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { icon } from "../ui.js";
import { digits, t, time } from "../words.js";
import { sparkline, summary } from "./charts.js";
import { notice } from "./controls.js";
import { SERVICES, access, dependencies, figure, missing, replicas, series, slow, troubled } from "./model.js";

const SLOW_MS = 1_000; // the gateway's own limit: a mean above it over 30 s is its alert
const ABSENT = "–";
const KINDS = {
  loading: { sign: "todo", text: "ops.state.loading", look: "muted" },
  ready: { sign: "check", text: "ops.state.ready", look: "good" },
  "not-ready": { sign: "warn", text: "ops.state.not-ready", look: "warn" },
  down: { sign: "cross", text: "ops.state.down", look: "bad" },
  silent: { sign: "cross", text: "ops.state.silent", look: "bad" },
};

/** @param {{now: import("./model.js").Now, clock: number}} state `clock`: the server's ms */
export function healthView({ now, clock }, does) {
  return html`<section class="stack" aria-labelledby="title">
    <div class="spread"><h1 id="title" tabindex="-1">${t("ops.now.title")}</h1>
      <button type="button" class="button quiet" id="as-table" aria-expanded=${String(now.hasTable)} @click=${does.toggleTable}>
        ${t("ops.chart.show")}</button></div>
    <div class="stack tight headline">${headline(now, clock)}</div>
    ${figures(now)}
    ${quotes(now)}
    ${now.hasTable ? lastMinute(now) : nothing}
    ${grid(now, clock)}
    ${behind(now)}
  </section>`;
}

/** One line for each thing that is wrong; else that nothing is. */
function headline(now, clock) {
  if (access(now) === "nobody") return notice("bad", "cross", t("ops.nobody"));
  const lines = [
    ...slow(now).map((service) => notice("bad", "late", slowSentence(service, now.rows[service].slow))),
    ...troubled(now).filter((service) => !now.rows[service].pulse).map((service) => awayNotice(service, now, clock)),
    ...missing(now).map(({ name, services }) => notice("bad", "cross", t("ops.missing", { name, n: services.length, services: services.join(", ") }))),
  ];
  if (lines.length) return lines;
  const isLoading = SERVICES.some((service) => now.rows[service].kind === "loading");
  return isLoading ? notice("info", "todo", t("ops.loading")) : notice("good", "check", t("ops.all-ready"));
}

const AWAY = { down: "ops.away.down", silent: "ops.away.silent", "not-ready": "ops.away.odd" };

/** What is said when a service's own judgement is that it is slow. */
export function slowSentence(service, { mean_ms: meanMs, since }) {
  const values = { service, mean: milliseconds(meanMs), limit: milliseconds(SLOW_MS), time: since ? time(since, { seconds: true }) : "" };
  if (meanMs <= SLOW_MS) return t("ops.slow.easing", values); // the alert lasts a little longer than its cause
  return t(since ? "ops.slow.since" : "ops.slow", values);
}

function awayNotice(service, { rows }, clock) {
  const { kind, since } = rows[service];
  return notice("bad", "cross", [t(AWAY[kind], { service }), " ", lasting(since, clock)]);
}

function lasting(since, clock) {
  return since === null ? nothing : t("ops.since", { time: time(since, { seconds: true }), s: Math.max(0, Math.round((clock - since) / 1000)) });
}

function figures(now) {
  const { pulse } = now.rows.gateway;
  return html`<div class="tiles">
    ${tile({ label: t("ops.orders.label"), value: rate(series(now, "orders_per_s").at(-1)), values: series(now, "orders_per_s"), says: ordersSentence })}
    ${tile({ label: t("ops.mean.label"), value: milliseconds(pulse?.mean_ms), values: series(now, "mean_ms"), says: meanSentence, limit: SLOW_MS })}
    <dl class="small-tiles card">
      ${pair(t("ops.p50.label"), about(pulse?.p50_ms))}
      ${pair(t("ops.p95.label"), about(pulse?.p95_ms))}
      ${pair(t("ops.refused.label"), percent(pulse?.refused_share))}
      ${pair(t("ops.failed.label"), percent(pulse?.failed_share))}
      ${pair(t("ops.pending.label"), count(figure(now, "pending_orders")))}
      ${pair(t("ops.answers.label"), rate(pulse?.per_s))}
    </dl>
  </div>`;
}

/** How far the kitchen's ready times were off; nothing until the kitchen has judged its first ones. */
function quotes(now) {
  const [median, p90, inRange] = ["quote_error_median", "quote_error_p90", "quote_in_range"].map((name) => figure(now, name));
  if (![median, p90, inRange].every(isNumber)) return nothing;
  return html`<p id="quotes">${t("ops.quotes", { median: wholePercent(median), p90: wholePercent(p90), share: wholePercent(inRange) })}</p>`;
}

const wholePercent = (share) => t("ops.percent", { n: Math.round(share * 100) });

function tile({ label, value, values, says, limit }) {
  const chart = values.length ? sparkline({ values, label: says(summary(values)), limit }) : nothing;
  return html`<div class="card tile"><p class="label">${label}</p><p class="number">${value}</p>${chart}</div>`;
}

const ordersSentence = ({ now, highest }) => t("ops.orders.chart", { now: rate(now), highest: rate(highest) });
const meanSentence = ({ now, highest }) => t("ops.mean.chart", { now: milliseconds(now), highest: milliseconds(highest) });

const pair = (label, value, look = "") => html`<div class=${look}><dt>${label}</dt><dd>${value}</dd></div>`;

function lastMinute(now) {
  const seconds = now.rows.gateway.pulse?.seconds ?? [];
  return html`<div class="scroll" role="region" tabindex="0" aria-label=${t("ops.chart.caption")}><table class="numbers">
    <caption>${t("ops.chart.caption")}</caption>
    <thead><tr><th scope="col">${t("ops.chart.time")}</th><th scope="col">${t("ops.orders.label")}</th>
      <th scope="col">${t("ops.answers.label")}</th><th scope="col">${t("ops.mean.label")}</th></tr></thead>
    <tbody>${seconds.toReversed().map((second) => html`<tr><th scope="row">${time(second.at, { seconds: true })}</th>
      <td>${rate(second.figures.orders_per_s)}</td><td>${rate(second.per_s)}</td><td>${milliseconds(second.mean_ms)}</td></tr>`)}</tbody>
  </table></div>`;
}

/** The roles are written out: on a phone the cells stand in a grid, and browsers then forget that it is a table. */
function grid(now, clock) {
  const head = ["ops.grid.service", "ops.grid.state", "ops.grid.answers", "ops.grid.mean", "ops.grid.p95", "ops.grid.refused", "ops.grid.needs"];
  return html`<table class="grid" role="table" aria-label=${t("ops.grid.label")}>
    <thead role="rowgroup"><tr role="row">${head.map((key) => html`<th role="columnheader" scope="col">${t(key)}</th>`)}</tr></thead>
    <tbody role="rowgroup">${SERVICES.map((service) => gridRow(service, now.rows[service], clock))}</tbody>
  </table>`;
}

function gridRow(service, row, clock) {
  const { pulse } = row;
  const { sign, text, look } = KINDS[row.kind];
  return html`<tr role="row" id=${`service-${service}`} data-kind=${row.kind}>
    <th role="rowheader" scope="row">${service}${severalReplicas(row)}</th>
    <td role="cell" class="state"><span class="badge ${look}">${icon(sign)}${t(text)}</span></td>
    ${numberCell("ops.grid.answers", rate(pulse?.per_s))}
    ${numberCell("ops.grid.mean", milliseconds(pulse?.mean_ms))}
    ${numberCell("ops.grid.p95", about(pulse?.p95_ms))}
    ${numberCell("ops.grid.refused", percent(pulse?.refused_share))}
    <td role="cell" class="needs">${needs(row, clock)}</td>
  </tr>`;
}

const numberCell = (label, value) => html`<td role="cell" class="figure" data-label=${t(label)}>${value}</td>`;

function severalReplicas(row) {
  const names = replicas(row);
  if (names.length < 2) return nothing;
  return html` <span class="small muted">${t("ops.replicas", { replica: row.pulse?.replica ?? names[0], n: names.length })}</span>`;
}

const WITHOUT_PULSE = { loading: "ops.needs.loading", down: "ops.needs.down", silent: "ops.needs.silent" };

function needs(row, clock) {
  if (row.pulse) return html`<ul class="plain row">${dependencies(row).map(need)}</ul>`;
  const key = WITHOUT_PULSE[row.kind];
  if (!key) return t("ops.needs.status", { status: String(row.status) });
  return [t(key), " ", lasting(row.since, clock)];
}

function need({ name, isOk, reason }) {
  const text = isOk ? name : t("ops.need.away", { name, reason });
  return html`<li class=${isOk ? "need muted" : "need away"}>${icon(isOk ? "check" : "cross")}<span>${text}</span></li>`;
}

/** What waits or was left over; the two that should be zero are marked when they are not. */
function behind(now) {
  const oldest = figure(now, "outbox_oldest_s");
  return html`<section class="card" aria-labelledby="behind">
    <h2 id="behind">${t("ops.behind.title")}</h2>
    <dl class="small-tiles flat">
      ${pair(t("ops.behind.outbox"), count(figure(now, "outbox_rows")))}
      ${pair(t("ops.behind.oldest"), oldest === null ? ABSENT : t("ops.seconds", { s: Math.round(oldest) }))}
      ${pair(t("ops.behind.lag"), count(figure(now, "reader_lag")))}
      ${pair(t("ops.behind.group"), count(figure(now, "group_pending")))}
      ${pair(t("ops.behind.streams"), count(figure(now, "open_streams")))}
      ${mustBeZero(t("ops.behind.dead"), figure(now, "dead_letters"))}
      ${mustBeZero(t("ops.behind.missing"), figure(now, "missing_messages"))}
    </dl>
  </section>`;
}

const mustBeZero = (label, value) => pair(label, value ? html`${icon("warn")}${count(value)}` : count(value), value ? "marked" : "");

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const count = (value) => (isNumber(value) ? digits(Math.round(value)) : ABSENT);
const rate = (value) => (isNumber(value) ? digits(value < 10 ? Math.round(value * 10) / 10 : Math.round(value)) : ABSENT);
const milliseconds = (value) => (isNumber(value) ? t("ops.ms", { ms: value < 10 ? Math.round(value * 10) / 10 : Math.round(value) }) : ABSENT);
const about = (value) => (isNumber(value) ? t("ops.about", { value: milliseconds(value) }) : ABSENT);
const percent = (share) => (isNumber(share) ? t("ops.percent", { n: Math.round(share * 1000) / 10 }) : ABSENT);
