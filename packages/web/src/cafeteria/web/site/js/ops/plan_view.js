/** Tomorrow's quantities: one table, sent in one go. Afterwards it says of each dish what became of it. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { digits, latinDigits, t } from "../words.js";
import { field, notice, submitted } from "./controls.js";
import { operationNote } from "./operation_view.js";
import { tally } from "./operations.js";
import { ofPlan, planned, portions } from "./stock_model.js";

export function planView(stock, does) {
  const sent = ofPlan(stock);
  return sent.length ? resultView(sent, does) : formView(stock, does);
}

function formView(stock, does) {
  const { plan, items } = stock;
  const { wanted } = planned(stock);
  const total = wanted.reduce((sum, { quantity }) => sum + quantity, 0);
  return html`<p>${t("ops.plan.hint")}</p>
    <form class="row fill" @submit=${submitted(does.fillPlan)}>
      ${field({ id: "fill-to", label: t("ops.plan.fill"), value: plan.fillTo, mode: "numeric", input: does.fillTo })}
      <button type="submit" class="button">${t("ops.plan.fill.button")}</button>
    </form>
    <form class="stack" @submit=${submitted(does.sendPlan)}>
      <table class="plan">
        <caption class="visually-hidden">${t("ops.plan.title")}</caption>
        <thead><tr><th scope="col">${t("ops.plan.dish")}</th><th scope="col" class="figure">${t("ops.plan.now")}</th>
          <th scope="col">${t("ops.plan.add")}</th><th scope="col" class="figure">${t("ops.plan.then")}</th></tr></thead>
        <tbody>${repeat(items, ({ id }) => id, (item) => formRow(plan, item, does))}</tbody>
      </table>
      ${plan.wrong.length ? notice("bad", "cross", t("ops.plan.wrong", { n: plan.wrong.length })) : nothing}
      <div class="row bar"><button type="submit" class="button primary" aria-disabled=${wanted.length ? "false" : "true"}>
          ${wanted.length ? t("ops.plan.send", { n: wanted.length, portions: digits(total) }) : t("ops.plan.send.none")}</button>
        <button type="button" class="button" @click=${does.closePlan}>${t("ops.cancel")}</button></div>
    </form>`;
}

function formRow(plan, item, does) {
  const typed = plan.amounts[item.id] ?? "";
  const quantity = portions(typed, 0);
  const isWrong = plan.wrong.includes(item.id);
  return html`<tr>
    <th scope="row">${item.name}</th>
    <td class="figure">${digits(item.quantity)}</td>
    <td><input class="input amount" id=${`plan-${item.id}`} inputmode="numeric" autocomplete="off" maxlength="8"
      aria-label=${t("ops.plan.amount", { dish: item.name })} aria-invalid=${isWrong ? "true" : "false"} .value=${typed}
      @input=${(event) => does.planAmount(item.id, latinDigits(event.target.value))}></td>
    <td class="figure">${digits(item.quantity + (quantity ?? 0))}</td>
  </tr>`;
}

/** Nothing half done goes unnamed: the table stays until every row has its answer and the operator puts it away. */
function resultView(operations, does) {
  const { all, done, open, refused, portions: added } = tally(operations);
  return html`<div class="stack" id="plan-result" tabindex="-1">
    ${open ? notice("warn", "clock", t("ops.plan.open-rows", { done, all, n: open })) : nothing}
    ${!open && refused ? notice("bad", "cross", t("ops.plan.some", { done, all, n: refused, portions: digits(added) })) : nothing}
    ${done === all ? notice("good", "check", t("ops.plan.all", { n: all, portions: digits(added) })) : nothing}
    <table class="plan">
      <caption class="visually-hidden">${t("ops.plan.result")}</caption>
      <thead><tr><th scope="col">${t("ops.plan.dish")}</th><th scope="col" class="figure">${t("ops.plan.left")}</th>
        <th scope="col">${t("ops.plan.outcome")}</th></tr></thead>
      <tbody>${operations.map(resultRow)}</tbody>
    </table>
    <div class="row">
      ${open ? html`<button type="button" class="button" @click=${does.retryNow}>${t("ops.plan.retry")}</button>` : nothing}
      ${open ? nothing : html`<button type="button" class="button primary" @click=${does.closePlan}>${t("ops.plan.close")}</button>`}
    </div>
  </div>`;
}

function resultRow(op) {
  return html`<tr><th scope="row">${op.name}</th><td class="figure">${op.left === null ? "–" : digits(op.left)}</td>
    <td>${operationNote(op)}</td></tr>`;
}
