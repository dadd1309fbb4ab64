/** What the section of one order does: it finds the order, and asks every service what it knows of it. */

import { ask } from "../api.js";
import { announce, focusOn } from "../ui.js";
import { t } from "../words.js";
import { TRACING, afterOrders, afterTrace, closedOrder, foundNothing, isOrderId, looking, meant, openedOrder } from "./trace_model.js";

const PAGE = 20;

/** @typedef {import("./part.js").Part} Part */

export const actions = {
  typeOrder: (part, typed) => part.set({ typed }),
  findOrder,
  moreOrders: (part) => readOrders(part, true),
  openOrder,
  readOrder: (part) => openOrder(part, part.state.trace.orderId),
  closeOrder: (part) => part.update(closedOrder),
};

/** A number or code of no ticket may still be the id of a student. */
async function findOrder(part) {
  const wanted = meant(part.state.typed);
  if (!wanted) return refuse(part, "wrong");
  if (wanted.by === "order") return go(wanted.value);
  if (wanted.by === "student") return ofStudent(part, wanted.value);
  part.update(looking);
  const { found } = part.state;
  const answer = await ask(`/v1/tickets?${new URLSearchParams({ [wanted.by]: wanted.value })}`);
  if (part.state.found !== found) return undefined;
  const [ticket] = answer.data?.items ?? [];
  return ticket ? go(ticket.order_id) : ofStudent(part, part.state.typed.trim());
}

/** The address is the order's: it can be sent to somebody, and "back" leads to the search. */
function go(orderId) {
  location.hash = `#order/${orderId}`;
}

function ofStudent(part, student) {
  part.update(looking, student);
  return readOrders(part);
}

async function readOrders(part, isMore = false) {
  const { found } = part.state;
  const asked = { student_id: found.student, limit: PAGE, ...(isMore ? { cursor: found.cursor } : {}) };
  const answer = await ask(`/v1/ops/gateway/orders?${new URLSearchParams(asked)}`);
  part.update(afterOrders, found, answer, isMore);
  if (part.state.found?.status === "none") announce(t("trace.none"));
}

function refuse(part, status) {
  part.update(foundNothing, status);
  focusOn("#which-order");
}

async function openOrder(part, orderId) {
  if (!isOrderId(orderId)) return refuse(part, "wrong");
  part.update(openedOrder, orderId);
  const read = async (service) => part.update(afterTrace, orderId, service, await ask(`/v1/ops/${service}/orders/${orderId}`));
  return Promise.all(TRACING.map(read));
}
