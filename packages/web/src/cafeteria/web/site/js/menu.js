/** The menu and what a basket may hold of it. Pure. */

export const MAX_PORTIONS = 20; // of one dish in one order: the gateway's limit
export const MAX_LINES = 20;
const FEW = 20;

export function levelOf({ available }) {
  if (available === null) return "unknown";
  if (available <= 0) return "gone";
  return available <= FEW ? "few" : "plenty";
}

/** How many portions one order may have of an item; an unknown count lets the store decide. */
export const limitOf = ({ available }) => Math.min(MAX_PORTIONS, available ?? MAX_PORTIONS);

export function find(items, text) {
  const wanted = text.trim().toLocaleLowerCase();
  return wanted === "" ? items : items.filter(({ name }) => name.toLocaleLowerCase().includes(wanted));
}

/** The basket with `quantity` portions of `item`; none removes the line. */
export function withQuantity(lines, { item_id, name, unit_price }, quantity) {
  const line = { item_id, name, unit_price, quantity };
  if (quantity <= 0) return lines.filter((other) => other.item_id !== item_id);
  if (lines.some((other) => other.item_id === item_id)) {
    return lines.map((other) => (other.item_id === item_id ? line : other));
  }
  return lines.length < MAX_LINES ? [...lines, line] : lines;
}

export const quantityOf = (lines, itemId) => lines.find(({ item_id }) => item_id === itemId)?.quantity ?? 0;

export const portionsOf = (lines) => lines.reduce((sum, { quantity }) => sum + quantity, 0);

/** Money in whole hundredths, so that sums are exact. The wire's prices are text with two decimals: "120.50". */
const hundredths = (text) => Math.round(Number(text) * 100);

export const priceOf = ({ unit_price, quantity }) => ((hundredths(unit_price) * quantity) / 100).toFixed(2);

export const totalOf = (lines) =>
  (lines.reduce((sum, { unit_price, quantity }) => sum + hundredths(unit_price) * quantity, 0) / 100).toFixed(2);

/** The lines with what is wrong with each by the newest menu. */
export function judge(lines, items) {
  if (items === null) return lines.map((line) => ({ ...line, trouble: null, available: null }));
  const byId = new Map(items.map((item) => [item.item_id, item]));
  return lines.map((line) => judged(line, byId.get(line.item_id)));
}

function judged(line, item) {
  if (!item) return { ...line, trouble: "off", available: null };
  const { name, unit_price, available } = item;
  const isFewer = available !== null && available < line.quantity;
  return { ...line, name, unit_price, available, trouble: available === 0 ? "gone" : isFewer ? "fewer" : null };
}
