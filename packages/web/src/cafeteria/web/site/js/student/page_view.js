/** What the first picture shows: the head, where each part stands, and the menu with what is left and what is chosen. */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { ago, countdown, now } from "../clock.js";
import { find, levelOf, limitOf, quantityOf } from "../menu.js";
import { focusOn, headerView, icon, linkState } from "../ui.js";
import { digits, money, t, time } from "../words.js";

const LOST_AFTER_MS = 1_000;
const SKELETON = [1, 2, 3, 4, 5, 6];

/** What the page shows. `state.parts` are the views that are loaded behind the first picture; null until then. */
export function shellView(state, act) {
  return { header: headView(state, act), main: mainView(state, act) };
}

function headView(state, act) {
  const { route, parts } = state;
  const section = (name, label) => ({ href: `#${name}`, label, isCurrent: route.name === name });
  const sections = [section("menu", t("page.menu")), section("orders", t("page.orders")), section("help", t("page.help"))];
  return headerView({
    name: t("page.name"), home: "#menu", sections, label: t("page.parts"), state: connection(state),
    account: parts ? parts.accountView({ state, act }) : nothing,
  });
}

/** A stream that begins again at once, as each does when its token is renewed, was not lost. */
function connection({ link, lostAt, isOffline, who }) {
  if (isOffline) return html`<span class="link-state">${icon("offline")}<span>${t("page.offline.short")}</span></span>`;
  if (!who || !link || link.state === "closed" || link.state === "refused") return nothing;
  if (link.state === "live" || (lostAt && now() - lostAt < LOST_AFTER_MS)) return linkState({ isLive: true, text: t("page.live") });
  if (link.state === "connecting") return linkState({ isLive: false, text: t("page.connecting") });
  return linkState({ isLive: false, text: t("page.reconnecting", { s: ago(new Date(link.at).toISOString()) }) });
}

function mainView(state, act) {
  const { parts, route, isSigningIn } = state;
  return html`<h1 class="visually-hidden">${t("page.title")}</h1>
    <div class="page" data-route=${route.name} data-signing-in=${isSigningIn}>
      ${state.isOffline ? offlineBar(state) : nothing} ${state.isPartial ? partialNote() : nothing}
      <div class="now">${parts ? parts.nowView({ state, act }) : nothing}</div>
      <div class="list">${sectionView(state, act)}</div>
      <div class="side">${parts ? parts.sideView({ state, act }) : nothing}</div>
    </div>`;
}

function offlineBar({ menu }) {
  return html`<p class="notice warn offline-bar">${icon("offline")}<span>${t("page.offline", { time: menu.at ? time(menu.at) : "–" })}</span></p>`;
}

/** Without its second half the page shows the menu alone. */
function partialNote() {
  return html`<div class="notice warn">${icon("warn")}<p class="grow">${t("page.partial")}</p>
    <button class="button" @click=${() => location.reload()}>${t("page.partial.again")}</button></div>`;
}

function sectionView(state, act) {
  const { parts, route } = state;
  if (route.name === "orders") return parts ? parts.ordersView({ state, act }) : nothing;
  return route.name === "help" ? parts?.helpView() ?? nothing : menuView({ state, act });
}

function menuView({ state, act }) {
  return html`<section class="menu" aria-labelledby="menu-title" @keydown=${slash}>
    <div class="spread menu-head">
      <h2 id="menu-title" tabindex="-1">${t("menu.title")}</h2>
      ${findField(state, act)}
    </div>
    ${state.parts ? state.parts.paceView(state) : nothing} ${troubleView(state, act)} ${listView(state, act)}
  </section>`;
}

function findField({ menu, find: text }, act) {
  if (!menu.items?.length) return nothing;
  return html`<label class="find">
    <span class="visually-hidden">${t("menu.find")}</span>${icon("search")}
    <input class="input" id="find" type="search" autocomplete="off" spellcheck="false" placeholder=${t("menu.find")}
      .value=${text} @input=${(event) => act({ type: "find", text: event.target.value })} />
  </label>`;
}

/** "/" goes to the field, while the focus is in the menu and not in a field. */
function slash(event) {
  if (event.key !== "/" || event.target.matches("input")) return;
  event.preventDefault();
  focusOn("#find");
}

function troubleView({ menu }, act) {
  if (menu.failures === 0) return nothing;
  const s = countdown(menu.nextAt);
  const sentence = menu.items ? t("menu.old", { time: time(menu.at), s }) : t("menu.failed", { s });
  return html`<div class="notice warn">${icon("warn")}<p class="grow">${sentence}</p>
    <button class="button" @click=${() => act({ type: "menu/try" })}>${t("menu.try")}</button></div>`;
}

function listView(state, act) {
  const { items } = state.menu;
  if (items === null) return state.menu.failures ? nothing : skeleton();
  if (items.length === 0) return html`<p class="empty muted">${t("menu.empty")}</p>`;
  const found = find(items, state.find);
  if (found.length === 0) return noneView(state, act);
  return html`<ul class="plain dishes">${found.map((item) => dishView(item, state, act))}</ul>`;
}

function noneView(state, act) {
  const clear = () => {
    act({ type: "find", text: "" });
    focusOn("#find");
  };
  return html`<div class="empty stack"><p class="muted">${t("menu.find.none", { text: state.find })}</p>
    <button class="button" @click=${clear}>${t("menu.find.clear")}</button></div>`;
}

function skeleton() {
  return html`<p class="muted">${t("menu.loading")}</p>
    <ul class="plain dishes" aria-hidden="true">${SKELETON.map(() => html`<li class="dish skeleton"><span></span><span></span></li>`)}</ul>`;
}

function dishView(item, { machine, isFrozen }, act) {
  const level = levelOf(item);
  const quantity = quantityOf(machine.lines, item.item_id);
  const canAdd = level !== "gone" || quantity > 0;
  return html`<li class="dish ${level} ${quantity > 0 ? "chosen" : ""}">
    <h3 class="dish-name">${item.name}</h3>
    <p class="dish-meta"><span class="dish-price">${money(item.unit_price)}</span><span class="dish-level">${levelText(level, item)}</span></p>
    <div class="dish-control">${canAdd ? stepper({ item, quantity, isFrozen, from: "menu", act }) : nothing}</div>
  </li>`;
}

function levelText(level, { available }) {
  if (level === "few") return html`<span class="left">${t("menu.few", { n: available })}</span>`;
  if (level === "gone") return html`<span class="gone">${icon("cross")}${t("menu.gone")}</span>`;
  return level === "unknown" ? t("menu.unknown") : nothing;
}

/**
 * How many portions of a dish: "Add", and from one on "less, number, more".
 * `from` ("menu", "basket"): where it stands; the focus stays there when "Add" becomes the two buttons.
 */
export function stepper({ item, quantity, isFrozen, from, act }) {
  const set = (wanted) => !isFrozen && act({ type: "order/quantity", item, quantity: wanted, before: quantity, from });
  return quantity === 0 ? addButton(item, isFrozen, set, from) : buttons({ item, quantity, isFrozen, from, set });
}

function addButton(item, isFrozen, set, from) {
  return html`<button class="button add" id="${from}-add-${item.item_id}" aria-label=${t("menu.add.label", { dish: item.name })}
    aria-disabled=${isFrozen} @click=${() => set(1)}>${t("menu.add")}</button>`;
}

function buttons({ item, quantity, isFrozen, from, set }) {
  const isFull = quantity >= limitOf(item);
  const dish = item.name;
  return html`<span class="stepper" role="group" aria-label=${t("menu.portions", { dish })}>
    <button class="button" id="${from}-less-${item.item_id}" aria-label=${t("menu.less", { dish })} aria-disabled=${isFrozen}
      @click=${() => set(quantity - 1)}>${icon("minus")}</button>
    <output>${digits(quantity)}</output>
    <button class="button" id="${from}-more-${item.item_id}" aria-label=${t("menu.more", { dish })} aria-disabled=${isFrozen || isFull}
      @click=${() => !isFull && set(quantity + 1)}>${icon("plus")}</button>
  </span>`;
}
