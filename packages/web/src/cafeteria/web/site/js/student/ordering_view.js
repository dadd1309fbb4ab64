/** The parts of the page that belong to a student: their account, their order, and the basket or the sign-in. */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { accountView as account } from "../account_view.js";
import { now } from "../clock.js";
import { t } from "../words.js";
import { basketView, signInView } from "./basket_view.js";
import { orderCards, shownOrder } from "./model.js";
import { orderCard, trackerView } from "./tracker_view.js";

const MOST_CARDS = 3;

export function accountView({ state, act }) {
  if (state.who) return account({ state: state.account, who: state.who, act, t });
  if (!state.isSessionKnown || state.isSigningIn) return nothing;
  return html`<button class="button quiet" id="sign-in" @click=${() => act({ type: "sign-in/open" })}>${t("page.sign_in")}</button>`;
}

/** The order in full, and one line for each order that the menu leads to. */
export function nowView({ state, act }) {
  const order = shownOrder(state, now());
  const cards = orderCards(state, now());
  return html`${cards.length ? cardsView(cards, order) : nothing}
    ${order ? trackerView({ order, state, act }) : state.route.name === "order" ? noOrderView(state) : nothing}`;
}

function cardsView(cards, shown) {
  const isMore = cards.length > MOST_CARDS;
  return html`<ul class="plain stack tight order-cards">
    ${cards.slice(0, MOST_CARDS).map((order) => html`<li class=${order === shown ? "is-shown" : ""}>${orderCard({ order })}</li>`)}
    ${isMore ? html`<li><a class="button wide" href="#orders">${t("tracker.more", { n: cards.length - MOST_CARDS })}</a></li>` : nothing}
  </ul>`;
}

function noOrderView({ route, absent, who, isSessionKnown }) {
  if (isSessionKnown && !who) return nothing; // the sign-in stands beside
  const key = absent[route.id] === 404 ? "tracker.unknown" : absent[route.id] ? "tracker.failed" : "tracker.loading";
  return html`<section class="tracker stack"><h2 id="tracker-title" tabindex="-1">${t("tracker.title")}</h2>
    <p class="muted">${t(key)}</p></section>`;
}

export const sideView = ({ state, act }) => (state.isSigningIn ? signInView({ state, act }) : basketView({ state, act }));
