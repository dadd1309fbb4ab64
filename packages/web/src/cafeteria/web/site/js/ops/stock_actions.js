/** What the store's section does: reads the items, changes them, and adds to them. */

import { ask } from "../api.js";
import { now } from "../clock.js";
import { announce, focusOn } from "../ui.js";
import { t } from "../words.js";
import { freshKey } from "./keys.js";
import { keep, resume, retry, retryNow, run } from "./operation_actions.js";
import { create as creation, restock as restocking } from "./operations.js";
import { without } from "./part.js";
import { STOCK_REFUSALS, refusalOf, refusalText } from "./refusals.js";
import { afterFailure, afterItems, difference, filled, planned, portions, withItem, withoutPlan, wrongFields } from "./stock_model.js";

const PAGE = 200; // the longest page of items that stock gives
const MOST_PAGES = 10;
const FIRST_WRONG = 'main [aria-invalid="true"]';

/** @typedef {import("./part.js").Part} Part */

export const actions = {
  readStock: read,
  resume,
  retry,
  retryNow,
  stockMode,
  filter: (part, filter) => part.set({ filter }),
  amount: (part, id, typed) => part.set({ amounts: { ...part.state.amounts, [id]: typed } }),
  wrongAmount: () => announce(t("ops.stock.amount.wrong"), { urgent: true }),
  restock,
  sale,
  edit,
  editDraft: (part, typed) => part.set({ edit: { ...part.state.edit, draft: { ...part.state.edit.draft, ...typed } } }),
  saveEdit,
  createDraft: (part, typed) => part.set({ draft: { ...part.state.draft, ...typed } }),
  create,
  fillTo: (part, fillTo) => plan(part, { fillTo }),
  fillPlan: (part) => part.update(filled, part.state.plan.fillTo),
  planAmount: (part, id, typed) => plan(part, { amounts: { ...part.state.plan.amounts, [id]: typed }, wrong: [] }),
  sendPlan,
  closePlan,
};

const plan = (part, values) => part.set({ plan: { ...part.state.plan, ...values } });

async function read(part) {
  const items = await allItems();
  if (items) part.update(afterItems, items, now());
  else part.update(afterFailure);
}

async function allItems() {
  let items = [];
  let cursor = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await ask(`/v1/items?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    if (answer.status !== 200) return null;
    items = [...items, ...answer.data.items];
    cursor = answer.data.next_cursor ?? "";
    if (!cursor) break;
  }
  return items;
}

function stockMode(part, mode) {
  part.set({ mode, isTried: false });
  focusOn(mode === "create" ? "#create-name" : "#title");
}

function restock(part, item, quantity) {
  const key = freshKey();
  part.set({ amounts: without(part.state.amounts, item.id) });
  return run(part, [restocking({ item, quantity, key, batch: key, now: now() })]);
}

async function sale(part, item) {
  const isDone = await changeItem(part, item, { on_sale: !item.on_sale });
  if (isDone) announce(t(item.on_sale ? "ops.stock.now-off" : "ops.stock.now-on", { dish: item.name }));
}

/** Changes set values, so one whose answer was lost may be sent again as it is. @returns {Promise<boolean>} whether it was done */
async function changeItem(part, item, body) {
  part.set({ busy: { ...part.state.busy, [item.id]: true }, refusals: without(part.state.refusals, item.id) });
  const answer = await ask(`/v1/items/${item.id}`, { method: "PATCH", body });
  part.set({ busy: without(part.state.busy, item.id) });
  if (answer.status === 200) part.update(withItem, answer.data);
  else refuse(part, item.id, answer);
  return answer.status === 200;
}

function refuse(part, itemId, answer) {
  const refusal = refusalOf(answer);
  part.set({ refusals: { ...part.state.refusals, [itemId]: refusal } });
  announce(refusalText(refusal, STOCK_REFUSALS), { urgent: true });
}

/** Opens the form of an item, or closes the one that is open. */
function edit(part, item) {
  const open = part.state.edit?.id;
  part.set({ edit: item && { id: item.id, draft: { name: item.name, price: item.price }, isTried: false } });
  focusOn(item ? "#edit-name" : `#edit-${open}`);
}

async function saveEdit(part, item) {
  const { draft } = part.state.edit;
  part.set({ edit: { ...part.state.edit, isTried: true } });
  if (wrongFields(draft, false).length) return focusOn(FIRST_WRONG);
  const body = difference(item, draft);
  if (Object.keys(body).length && !(await changeItem(part, item, body))) return undefined;
  announce(t("ops.edit.saved", { dish: draft.name.trim() }));
  return edit(part, null);
}

function create(part) {
  const { name, price, quantity } = part.state.draft;
  part.set({ isTried: true });
  if (wrongFields(part.state.draft, true).length) return focusOn(FIRST_WRONG);
  part.set({ draft: { name: "", price: "", quantity: "" } });
  stockMode(part, "levels");
  const asked = { name: name.trim(), price: price.trim(), quantity: portions(quantity, 0) };
  return run(part, [creation({ ...asked, key: freshKey(), now: now() })]);
}

function sendPlan(part) {
  const { wanted, wrong } = planned(part.state);
  plan(part, { wrong });
  if (wrong.length) return focusOn(FIRST_WRONG);
  if (!wanted.length) return undefined;
  const batch = freshKey();
  plan(part, { batch });
  focusOn("#plan-result");
  return run(
    part,
    wanted.map(({ item, quantity }) => restocking({ item, quantity, key: freshKey(), batch, now: now() })),
  );
}

function closePlan(part) {
  part.update(withoutPlan);
  focusOn("#title");
  return keep(part);
}
