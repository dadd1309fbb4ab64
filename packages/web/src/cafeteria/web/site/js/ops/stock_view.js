/** The store: what is left of each dish, what it costs, and whether it is on sale; adding portions; a new dish. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { digits, latinDigits, money, t, time } from "../words.js";
import { field, notice, once, refusalNotice, submitted, toggle } from "./controls.js";
import { creationText, isOver, operationNote, operationSign } from "./operation_view.js";
import { planView } from "./plan_view.js";
import { STOCK_REFUSALS } from "./refusals.js";
import { STEP, latest, portions, visible, wrongFields } from "./stock_model.js";

export function view(state, does) {
  const { stock } = state;
  return html`<section class="stack section" aria-labelledby="title">
    <div class="spread">
      <h1 id="title" tabindex="-1">${t(stock.mode === "plan" ? "ops.plan.title" : "ops.stock.title")}</h1>
      ${stock.mode === "levels" ? startButtons(does) : nothing}
    </div>
    ${freshness(stock)} ${stock.mode === "create" ? createView(stock, does) : nothing} ${creations(stock)}
    ${stock.mode === "plan" ? planView(stock, does) : levels(stock, does)}
  </section>`;
}

function startButtons(does) {
  return html`<div class="row">
    ${once({ id: "open-plan", label: t("ops.plan.open"), act: () => does.stockMode("plan") })}
    ${once({ id: "open-create", label: t("ops.create.open"), act: () => does.stockMode("create") })}
  </div>`;
}

/** The list stays when stock does not answer; it says how old it is. */
function freshness({ status, at }) {
  if (status === "loading") return notice("info", "todo", t("ops.stock.loading"));
  if (status !== "failed") return nothing;
  const sentence = at === null ? t("ops.stock.failed") : t("ops.stock.old", { time: time(at, { seconds: true }) });
  return notice("bad", "cross", sentence);
}

function levels(stock, does) {
  const { filter, items, status } = stock;
  if (status === "shown" && !items.length) return html`<p class="muted">${t("ops.stock.empty")}</p>`;
  const shown = visible(stock);
  return html`<search class="filter">${field({ id: "filter", label: t("ops.stock.filter"), value: filter, input: does.filter })}</search>
    ${shown.length ? html`<ul class="plain levels">${repeat(shown, ({ id }) => id, (item) => levelRow(stock, item, does))}</ul>` : nothing}
    ${items.length && !shown.length ? html`<p class="muted">${t("ops.stock.none", { text: filter })}</p>` : nothing}`;
}

function levelRow(stock, item, does) {
  if (stock.edit?.id === item.id) return editRow(stock, item, does);
  const isBusy = stock.busy[item.id] !== undefined;
  const text = t(item.on_sale ? "ops.stock.on" : "ops.stock.off");
  return html`<li class="card level" data-item=${item.id}>
    <div class="level-name"><h2>${item.name}</h2><p class="muted">${money(item.price)}</p></div>
    <p class="level-left"><span class="number">${digits(item.quantity)}</span> ${t("ops.stock.left")}</p>
    ${toggle({ id: `sale-${item.id}`, label: t("ops.stock.sale", { dish: item.name }), isOn: item.on_sale, text, act: () => does.sale(item), busy: isBusy })}
    ${once({ id: `edit-${item.id}`, label: t("ops.stock.edit"), name: t("ops.stock.edit.name", { dish: item.name }), act: () => does.edit(item), classes: "quiet" })}
    ${restockControls(stock, item, does)}
    ${levelNotes(stock, item)}
  </li>`;
}

function restockControls(stock, item, does) {
  const typed = stock.amounts[item.id] ?? "";
  const quantity = portions(typed);
  const add = (amount) => () => does.restock(item, amount);
  const label = t("ops.stock.add", { n: STEP });
  return html`<form class="restock" @submit=${submitted(() => (quantity === null ? does.wrongAmount(item) : add(quantity)()))}>
    ${once({ id: `step-${item.id}`, label, name: t("ops.stock.add.name", { n: STEP, dish: item.name }), act: add(STEP) })}
    <label class="visually-hidden" for=${`amount-${item.id}`}>${t("ops.stock.amount", { dish: item.name })}</label>
    <input class="input amount" id=${`amount-${item.id}`} inputmode="numeric" autocomplete="off" maxlength="7" .value=${typed}
      placeholder=${t("ops.stock.amount.example")} @input=${(event) => does.amount(item.id, latinDigits(event.target.value))}>
    <button type="submit" class="button" aria-label=${t("ops.stock.add.typed", { dish: item.name })}>${t("ops.stock.add.button")}</button>
  </form>`;
}

/** What became of the last change of a dish; it stays until the next one. */
function levelNotes(stock, item) {
  const op = latest(stock, item.id);
  if (!op && !stock.refusals[item.id]) return nothing;
  return html`<div class="level-notes">
    ${op ? operationNote(op) : nothing} ${refusalNotice(stock.refusals[item.id], STOCK_REFUSALS)}
  </div>`;
}

function editRow(stock, item, does) {
  const { draft } = stock.edit;
  const wrong = stock.edit.isTried ? wrongFields(draft, false) : [];
  return html`<li class="card"><form class="stack" @submit=${submitted(() => does.saveEdit(item))}>
    <h2>${t("ops.edit.title", { dish: item.name })}</h2>
    <div class="row fields">${nameField("edit", draft, wrong, does.editDraft)} ${priceField("edit", draft, wrong, does.editDraft)}</div>
    <p class="muted small">${t("ops.edit.hint")}</p>
    ${refusalNotice(stock.refusals[item.id], STOCK_REFUSALS)}
    <div class="row"><button type="submit" class="button primary">${t("ops.edit.save")}</button>
      <button type="button" class="button" @click=${() => does.edit(null)}>${t("ops.cancel")}</button></div>
  </form></li>`;
}

function createView(stock, does) {
  const { draft, isTried } = stock;
  const wrong = isTried ? wrongFields(draft, true) : [];
  const error = wrong.includes("quantity") ? t("ops.create.quantity.wrong") : "";
  return html`<form class="card stack" aria-labelledby="create-title" @submit=${submitted(does.create)}>
    <h2 id="create-title" tabindex="-1">${t("ops.create.title")}</h2>
    <div class="row fields">${nameField("create", draft, wrong, does.createDraft)} ${priceField("create", draft, wrong, does.createDraft)}
      ${field({ id: "create-quantity", label: t("ops.create.quantity"), value: draft.quantity, mode: "numeric", error, input: (quantity) => does.createDraft({ quantity }) })}</div>
    <div class="row"><button type="submit" class="button primary">${t("ops.create.button")}</button>
      <button type="button" class="button" @click=${() => does.stockMode("levels")}>${t("ops.cancel")}</button></div>
  </form>`;
}

/** New dishes that were asked for, while they are not in the list. */
function creations({ operations }) {
  const open = operations.filter((op) => op.what === "create" && op.state !== "done");
  return open.map((op) => notice(isOver(op) ? "bad" : "info", operationSign(op), creationText(op)));
}

function nameField(form, draft, wrong, input) {
  const error = wrong.includes("name") ? t("ops.name.wrong") : "";
  return field({ id: `${form}-name`, label: t("ops.name"), value: draft.name, error, input: (name) => input({ name }) });
}

function priceField(form, draft, wrong, input) {
  const error = wrong.includes("price") ? t("ops.price.wrong") : "";
  return field({ id: `${form}-price`, label: t("ops.price"), value: draft.price, mode: "decimal", error, input: (price) => input({ price }) });
}
