/** The page around its parts: the head, the sections, and where each part stands on a phone and on a desk. */
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { ago } from "../clock.js";
import { headerView, icon, linkState } from "../ui.js";
import { t, time } from "../words.js";
import { menuView } from "./menu_view.js";

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

function connection({ link, isOffline, who }) {
  if (isOffline) return html`<span class="link-state">${icon("offline")}<span>${t("page.offline.short")}</span></span>`;
  if (!who || !link || link.state === "closed" || link.state === "refused") return nothing;
  if (link.state === "live") return linkState({ isLive: true, text: t("page.live") });
  if (link.state === "connecting") return linkState({ isLive: false, text: t("page.connecting") });
  return linkState({ isLive: false, text: t("page.reconnecting", { s: ago(new Date(link.at).toISOString()) }) });
}

function mainView(state, act) {
  const { parts, route, isSigningIn } = state;
  return html`<h1 class="visually-hidden">${t("page.title")}</h1>
    <div class="page" data-route=${route.name} data-signing-in=${isSigningIn}>
      ${state.isOffline ? offlineBar(state) : nothing} ${state.isPartial ? partialNote() : nothing} ${staffNote(state)}
      <div class="now">${parts ? parts.nowView({ state, act }) : nothing}</div>
      <div class="list">${listView(state, act)}</div>
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

/** Staff may order, too; a cook who came here by mistake sees it. */
function staffNote({ who }) {
  if (!who || who.role === "student") return nothing;
  return html`<p class="notice info">${icon("info")}<span>${t("page.staff", { id: who.student_id })}</span></p>`;
}

function listView(state, act) {
  const { parts, route } = state;
  if (route.name === "orders") return parts ? parts.ordersView({ state, act }) : nothing;
  return route.name === "help" ? parts?.helpView() ?? nothing : menuView({ state, act });
}
