import { check, equal } from "/units/check.js";
import { afterOrders, afterTrace, away, emptyTracing, isRead, isUnknown, looking, meant, openedOrder, timeline } from "/js/ops/trace_model.js";

const ID = "0193a5e0-4c00-7000-8000-0000000000a1";
const AT = Date.parse("2026-03-01T18:04:00Z");
const fact = (s, what, detail = {}) => ({ at: new Date(AT + s * 1000).toISOString(), what, detail });
const answers = {
  gateway: [fact(0, "received", { lines: "1" }), fact(0.2, "stock-verified")],
  stock: [fact(0.1, "reserved")],
  kitchen: [fact(0.3, "received"), fact(40.3, "started")],
  notification: [fact(0.25, "logged", { status: "STOCK_VERIFIED" })],
};
const brief = (trace, s) => timeline(trace, AT + s * 1000).map(({ kind, service, what, stage, ms }) => (kind === "fact" ? `${service} ${what}` : `${kind} ${stage} ${ms}`));

check("what is typed is an order, a number, a code, a student, or nothing", () => {
  const kinds = [ID.toUpperCase(), " 7 ", "417", "k7f2", "210041101", "4177", "a b", ""].map((typed) => meant(typed)?.by ?? null);
  equal(kinds, ["order", "number", "number", "code", "student", "student", null, null]);
  equal([meant(ID.toUpperCase()).value, meant("k7f2").value], [ID, "K7F2"]);
});

check("the facts of all services are in one line of time, and waits over a second are named", () => {
  const trace = { orderId: ID, answers };
  const met = ["gateway received", "stock reserved", "gateway stock-verified", "notification logged", "kitchen received"];
  equal(brief(trace, 41), [...met, "waited cook 40000", "kitchen started"]);
  equal(brief({ orderId: ID, answers: { ...answers, kitchen: null } }, 61.25).slice(-1), ["waits cook 61000"]);
});

check("a late fact of an earlier state does not bring the order back to it", () => {
  const late = { gateway: [fact(9, "stock-verified")], kitchen: [fact(0, "received"), fact(0.5, "started"), fact(8.2, "ready")] };
  equal(brief({ orderId: ID, answers: late }, 15).slice(-2), ["gateway stock-verified", "waits collect 6000"]);
});

check("an order that has ended waits for nothing", () => {
  const rejected = { gateway: [fact(0, "received"), fact(5, "rejected", { reason: "EXPIRED" })], stock: [], kitchen: [], notification: [fact(8, "delivered")] };
  const told = ["gateway received", "waited decision 5000", "gateway rejected", "waited ended 3000", "notification delivered"];
  equal(brief({ orderId: ID, answers: rejected }, 500), told);
});

check("an order is unknown only where every service has said so", () => {
  let state = openedOrder(emptyTracing(), ID);
  for (const service of ["gateway", "stock", "kitchen"]) state = afterTrace(state, ID, service, { status: 200, data: { facts: [] } });
  equal([isRead(state.trace), isUnknown(state.trace)], [false, false]);
  const known = afterTrace(state, ID, "notification", { status: 200, data: { facts: [] } });
  equal([isRead(known.trace), isUnknown(known.trace)], [true, true]);
  const silent = afterTrace(state, ID, "notification", { status: 0, data: null });
  equal([isRead(silent.trace), isUnknown(silent.trace), away(silent.trace)], [true, false, ["notification"]]);
});

check("an answer about another order, and one to an earlier search, change nothing", () => {
  const other = openedOrder(emptyTracing(), "0193a5e0-4c00-7000-8000-0000000000b2");
  equal(afterTrace(other, ID, "stock", { status: 200, data: { facts: answers.stock } }), other);
  const first = looking(emptyTracing(), "210041101");
  const second = looking(first, "210041102");
  const page = { status: 200, data: { items: [{ id: ID }], next_cursor: null } };
  equal(afterOrders(second, first.found, page, false), second);
  equal(afterOrders(second, second.found, page, false).found.items, [{ id: ID }]);
});
