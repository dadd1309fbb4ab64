/** What is left, and what a basket may hold. */

import { find, judge, levelOf, limitOf, portionsOf, priceOf, quantityOf, totalOf, withQuantity } from "/js/menu.js";
import { check, equal } from "/units/check.js";

const item = (available, more = {}) => ({ item_id: "1", name: "Beef Haleem", unit_price: "110.00", available, ...more });
const line = (quantity, more = {}) => ({ item_id: "1", name: "Beef Haleem", unit_price: "110.00", quantity, ...more });

check("what is left is said from twenty down", () => {
  equal([null, 0, 1, 20, 21].map((n) => levelOf(item(n))), ["unknown", "gone", "few", "few", "plenty"]);
});

check("an order has at most twenty portions of a dish, and no more than are left", () => {
  equal([null, 0, 7, 500].map((n) => limitOf(item(n))), [20, 0, 7, 20]);
});

check("a dish is found by any part of its name", () => {
  const menu = [item(1), item(1, { item_id: "2", name: "Firni" })];
  equal(find(menu, " HAL ").map(({ name }) => name), ["Beef Haleem"]);
  equal(find(menu, "").length, 2);
  equal(find(menu, "pizza"), []);
});

check("a line is added, changed and removed by its quantity", () => {
  const one = withQuantity([], item(5), 1);
  equal(one, [line(1)]);
  equal(withQuantity(one, item(5), 3), [line(3)]);
  equal(withQuantity(one, item(5), 0), []);
  equal([quantityOf(one, "1"), quantityOf(one, "2"), portionsOf([line(2), line(3, { item_id: "2" })])], [1, 0, 5]);
});

check("a basket has at most twenty dishes", () => {
  const full = Array.from({ length: 20 }, (_, n) => line(1, { item_id: `dish-${n}` }));
  equal(withQuantity(full, item(5), 1).length, 20);
  equal(withQuantity(full, item(5, { item_id: "dish-3" }), 2).length, 20);
});

check("sums are exact", () => {
  equal(priceOf(line(3, { unit_price: "0.10" })), "0.30");
  equal(totalOf([line(3, { unit_price: "0.10" }), line(20, { unit_price: "1999.99" })]), "40000.10");
  equal(totalOf([]), "0.00");
});

check("the newest menu says what is wrong with a line", () => {
  const trouble = (quantity, menu) => judge([line(quantity)], menu)[0].trouble;
  equal(
    [trouble(2, [item(5)]), trouble(2, [item(null)]), trouble(2, [item(0)]), trouble(6, [item(5)]), trouble(1, [])],
    [null, null, "gone", "fewer", "off"],
  );
  equal(trouble(1, null), null);
});

check("a line has the price and the name of the newest menu", () => {
  equal(judge([line(1)], [item(5, { unit_price: "120.00" })])[0].unit_price, "120.00");
});
