/** The store as the operator sees it: dishes, what is being changed, and tomorrow's quantities. Pure. */

export const MOST_PORTIONS = 1_000_000; // limit of one restock; stock's contract
export const STEP = 50;
const LONGEST_NAME = 120;
const PRICE = /^[0-9]{1,8}(\.[0-9]{1,2})?$/;

/**
 * @typedef {{id: string, name: string, price: string, on_sale: boolean, quantity: number, version: number, available: number}} Item
 * @typedef {{name: string, price: string, quantity: string}} Draft as typed
 * @typedef {{amounts: Object<string, string>, fillTo: string, batch: string|null, wrong: string[]}} Plan `batch` once it was sent;
 *   `wrong`: ids of the items whose amount is no number of portions
 * @typedef {{status: "loading"|"shown"|"failed", items: Item[], at: number|null, filter: string, mode: "levels"|"plan"|"create",
 *   amounts: Object<string, string>, edit: {id: string, draft: Draft, isTried: boolean}|null, draft: Draft, isTried: boolean, plan: Plan, busy: Object<string, string>,
 *   refusals: Object<string, {code: string, requestId: string|null}>, operations: import("./operations.js").Operation[]}} Stock
 *   `isTried`: the draft was to be sent, so its errors are shown; keys of `amounts`, `busy` and `refusals` are item ids, "create" for a new dish
 */

const EMPTY_DRAFT = { name: "", price: "", quantity: "" };
const EMPTY_PLAN = { amounts: {}, fillTo: "", batch: null, wrong: [] };

/** @returns {Stock} */
export const emptyStock = () => ({
  status: "loading",
  items: [],
  at: null,
  filter: "",
  mode: "levels",
  amounts: {},
  edit: null,
  draft: EMPTY_DRAFT,
  isTried: false,
  plan: EMPTY_PLAN,
  busy: {},
  refusals: {},
  operations: [],
});

/** All items, as one reading of the whole list brought them; a failed reading keeps the earlier picture. */
export const afterItems = (stock, items, now) => ({ ...stock, status: "shown", items, at: now });
export const afterFailure = (stock) => ({ ...stock, status: "failed" });

/** One item as an answer to a change brought it; an older version changes nothing. */
export function withItem(stock, item) {
  const index = stock.items.findIndex(({ id }) => id === item.id);
  if (index < 0) return { ...stock, items: [...stock.items, item].sort((a, b) => a.name.localeCompare(b.name)) };
  if (stock.items[index].version > item.version) return stock;
  return { ...stock, items: stock.items.with(index, item) };
}

/** Items whose name contains the filter, in upper or lower case. */
export function visible({ items, filter }) {
  const wanted = filter.trim().toLocaleLowerCase();
  return items.filter((item) => item.name.toLocaleLowerCase().includes(wanted));
}

/** @returns {number|null} a number of portions as typed; null if it is none */
export function portions(text, least = 1) {
  if (!/^[0-9]{1,7}$/.test(text.trim())) return null;
  const number = Number(text);
  return number >= least && number <= MOST_PORTIONS ? number : null;
}

/** @returns {("name"|"price"|"quantity")[]} fields that stock would refuse; a change has no quantity */
export function wrongFields({ name, price, quantity }, isNew) {
  const wrong = [];
  if (!name.trim() || [...name].length > LONGEST_NAME) wrong.push("name");
  if (!PRICE.test(price.trim())) wrong.push("price");
  if (isNew && portions(quantity, 0) === null) wrong.push("quantity");
  return wrong;
}

/** What a change sends: the fields that differ alone, so that two operators do not undo each other. */
export function difference(item, draft) {
  const changed = {};
  if (draft.name.trim() !== item.name) changed.name = draft.name.trim();
  if (Number(draft.price) !== Number(item.price)) changed.price = draft.price.trim();
  return changed;
}

/** Amounts that bring every visible dish up to `fillTo`; a dish that has as many or more gets none. */
export function filled(stock, fillTo) {
  const wanted = portions(fillTo);
  if (wanted === null) return stock;
  const amounts = { ...stock.plan.amounts };
  for (const item of visible(stock)) amounts[item.id] = item.quantity < wanted ? String(wanted - item.quantity) : "";
  return { ...stock, plan: { ...stock.plan, amounts, wrong: [] } };
}

/**
 * The rows of tomorrow's quantities that ask for something.
 * @returns {{wanted: {item: Item, quantity: number}[], wrong: string[]}} nothing is sent while `wrong` has an id
 */
export function planned({ items, plan }) {
  const wanted = [];
  const wrong = [];
  for (const item of items) {
    const text = plan.amounts[item.id]?.trim() ?? "";
    if (!text || /^0+$/.test(text)) continue;
    const quantity = portions(text);
    if (quantity === null) wrong.push(item.id);
    else wanted.push({ item, quantity });
  }
  return { wanted, wrong };
}

/** The newest operation on an item that is not part of tomorrow's quantities, or undefined. */
export const latest = ({ operations, plan }, itemId) => operations.findLast((op) => op.itemId === itemId && op.batch !== plan.batch);

/** Operations of what was asked for in one go; none before it was sent. */
export const ofPlan = ({ operations, plan }) => (plan.batch ? operations.filter((op) => op.batch === plan.batch) : []);

/** The plan that stored operations belong to, after the page was opened again: the newest batch of several, or of one open. */
export function resumedPlan(operations) {
  const open = operations.filter((op) => op.what === "restock" && op.batch !== op.key);
  return open.length ? { ...EMPTY_PLAN, batch: open.at(-1).batch } : EMPTY_PLAN;
}

/** The plan is put away; its operations are, too, unless one is open. */
export function withoutPlan(stock) {
  const operations = stock.operations.filter((op) => op.batch !== stock.plan.batch || op.state === "sending" || op.state === "unsure");
  return { ...stock, mode: "levels", plan: EMPTY_PLAN, operations };
}
