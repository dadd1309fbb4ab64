/** What a meal is called up and handed out by: a number for the hall, and a code for the student and the kitchen alone. */
import { shortCode } from "./short_code.js";

/** "007", as the hall's screen shows it; null before a cook has begun. */
export const numberOf = ({ pickup }) => (pickup ? String(pickup.number).padStart(3, "0") : null);

/** The name of a student's order: its number, before that four characters of its id. */
export const nameOfOrder = (order) => numberOf(order) ?? shortCode(order.id);

/** The name of a ticket of the kitchen. Tickets of an older kitchen have no number. */
export const nameOfTicket = (ticket) => numberOf(ticket) ?? shortCode(ticket.order_id);
