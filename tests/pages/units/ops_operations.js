import { check, equal, ok } from "/units/check.js";
import { freshKey } from "/js/ops/keys.js";
import { answered, create, due, replaced, restock, resumed, sending, tally, worthStoring } from "/js/ops/operations.js";
import { difference, emptyStock, filled, ofPlan, planned, portions, resumedPlan, withItem, withoutPlan, wrongFields } from "/js/ops/stock_model.js";

const T0 = 1_000_000;
const HOUR = 3_600_000;
const haleem = { id: "i-1", name: "Beef Haleem", price: "110.00", on_sale: true, quantity: 7, version: 3, available: 7 };
const firni = { id: "i-2", name: "Firni", price: "40.00", on_sale: true, quantity: 0, version: 1, available: 0 };
const op = (values = {}) => ({ ...sending(restock({ item: haleem, quantity: 50, key: "k-1", batch: "k-1", now: T0 })), ...values });
const done = { status: 200, data: { ...haleem, quantity: 57, version: 4 }, problem: null, retryAfterS: null, requestId: "r" };
const lost = { status: 0, data: null, problem: null, retryAfterS: null, requestId: null };
const refused = { status: 409, data: null, problem: { type: "/problems/conflict" }, retryAfterS: null, requestId: "r-9" };
const stock = (values = {}) => ({ ...emptyStock(), items: [haleem, firni], status: "shown", ...values });

check("a key is 22 letters and digits, and never the same twice", () => {
  const keys = Array.from({ length: 500 }, freshKey);
  ok(keys.every((key) => /^[0-9A-Za-z]{22}$/.test(key)), keys[0]);
  equal(new Set(keys).size, keys.length);
});

check("a lost answer keeps the key and the body, and asks again", () => {
  const after = answered(op(), lost, T0);
  equal([after.state, after.key, after.body, after.againAt], ["unsure", "k-1", { quantity: 50 }, T0 + 1000]);
  equal(due([after], T0 + 999), []);
  equal(due([after], T0 + 1000), [after]);
});

check("the pauses between tries grow to 15 s, and the server's wish is longer", () => {
  const pause = (tries, retryAfterS) => answered(op({ tries }), { ...lost, status: 503, retryAfterS }, 0).againAt / 1000;
  equal([1, 2, 3, 4, 5, 9].map((tries) => pause(tries, null)), [1, 2, 4, 8, 15, 15]);
  equal(pause(1, 30), 30);
});

check("only an answer that settles it ends an operation", () => {
  const states = [0, 200, 201, 400, 401, 404, 409, 422, 429, 500, 503].map((status) => answered(op(), { ...lost, status }, T0).state);
  equal(states, ["unsure", "done", "done", "refused", "unsure", "refused", "refused", "refused", "unsure", "unsure", "unsure"]);
});

check("a refusal is kept with its reason and its code", () => {
  const { state, code, requestId } = answered(op(), refused, T0);
  equal([state, code, requestId], ["refused", "conflict", "r-9"]);
});

check("a reload asks again for what was open, under the same key", () => {
  const stored = [op(), op({ key: "k-2", state: "unsure", againAt: T0 + 9000 })];
  equal(resumed(stored, T0 + HOUR).map(({ key, state, againAt }) => [key, state, againAt]), [["k-1", "unsure", T0 + HOUR], ["k-2", "unsure", T0 + HOUR]]);
});

check("what is older than stock keeps its key is named, and never sent again", () => {
  const [old] = resumed([op()], T0 + 23 * HOUR + 1);
  equal([old.state, due([old], Infinity)], ["lapsed", []]);
});

check("a batch is stored whole until all of it is done", () => {
  const first = op({ key: "a", batch: "b", state: "done" });
  const second = op({ key: "c", batch: "b", state: "unsure", againAt: T0 });
  const single = op({ key: "d", batch: "d", state: "done" });
  equal(worthStoring([first, second, single]), [first, second]);
  equal(worthStoring([first, { ...second, state: "done" }, single]), []);
});

check("an operation takes its own place again", () => {
  const [a, b] = [op({ key: "a" }), op({ key: "b" })];
  equal(replaced(replaced(replaced([], a), b), { ...a, state: "done" }).map(({ key, state }) => [key, state]), [["a", "done"], ["b", "sending"]]);
});

check("a new dish is one operation with name, price and portions as they are sent", () => {
  const { path, body, what } = create({ name: "Firni", price: "40", quantity: 80, key: "k", now: T0 });
  equal([path, body, what], ["/v1/items", { name: "Firni", price: "40", quantity: 80 }, "create"]);
});

check("an older answer never replaces a newer level", () => {
  const after = withItem(stock(), { ...haleem, quantity: 99, version: 2 });
  equal(after.items[0].quantity, 7);
  equal(withItem(stock(), done.data).items[0].quantity, 57);
});

check("a new dish stands where its name belongs", () => {
  equal(withItem(stock(), { ...firni, id: "i-3", name: "Chicken Biryani" }).items.map(({ name }) => name), ["Beef Haleem", "Chicken Biryani", "Firni"]);
});

check("portions are whole numbers from 1 to a million", () => {
  equal(["", "0", "1", " 50 ", "1000000", "1000001", "-3", "2.5", "1e3", "many"].map((text) => portions(text)), [null, null, 1, 50, 1000000, null, null, null, null, null]);
  equal(portions("0", 0), 0);
});

check("a form names the fields that stock would refuse", () => {
  equal(wrongFields({ name: " ", price: "1,5", quantity: "x" }, true), ["name", "price", "quantity"]);
  equal(wrongFields({ name: "Firni", price: "40.5", quantity: "0" }, true), []);
  equal(wrongFields({ name: "x".repeat(121), price: "123456789", quantity: "" }, false), ["name", "price"]);
});

check("a change sends what differs and nothing else", () => {
  equal(difference(haleem, { name: "Beef Haleem ", price: "110" }), {});
  equal(difference(haleem, { name: "Haleem", price: "115" }), { name: "Haleem", price: "115" });
});

check("filling up adds what is missing, and nothing to a dish that has enough", () => {
  const { plan } = filled(stock({ items: [haleem, { ...firni, quantity: 150 }] }), "120");
  equal(plan.amounts, { "i-1": "113", "i-2": "" });
});

check("empty rows and zeros of tomorrow's quantities ask for nothing", () => {
  equal(planned(stock({ plan: { amounts: { "i-1": "", "i-2": "0" }, fillTo: "", batch: null, wrong: [] } })), { wanted: [], wrong: [] });
});

check("a wrong amount is named by its dish", () => {
  const { wanted, wrong } = planned(stock({ plan: { amounts: { "i-1": "80", "i-2": "lots" }, fillTo: "", batch: null, wrong: [] } }));
  equal([wanted.map(({ item, quantity }) => [item.id, quantity]), wrong], [[["i-1", 80]], ["i-2"]]);
});

check("what became of tomorrow's quantities is counted by outcome", () => {
  const rows = [op({ state: "done" }), op({ state: "unsure" }), op({ state: "refused" }), op({ state: "lapsed" }), op({ state: "sending" })];
  equal(tally(rows), { all: 5, done: 1, open: 2, refused: 2, portions: 50 });
});

check("a reload finds an unfinished plan again, and a single restock is none", () => {
  equal(resumedPlan([op()]).batch, null);
  const rows = [op({ key: "a", batch: "b", state: "done" }), op({ key: "c", batch: "b", state: "unsure" })];
  const plan = resumedPlan(rows);
  equal(ofPlan(stock({ operations: rows, plan })).length, 2);
});

check("a plan that is put away leaves nothing that is open behind", () => {
  const rows = [op({ key: "a", batch: "b", state: "done" }), op({ key: "c", batch: "b", state: "unsure" })];
  const after = withoutPlan(stock({ operations: rows, plan: resumedPlan(rows), mode: "plan" }));
  equal([after.mode, after.operations.map(({ key }) => key)], ["levels", ["c"]]);
});
