/** A page's state and what it shows, and what screen readers are told. */

import { html } from "/vendor/lit-html/lit-html.js";
import { announce, focusOn, page } from "/js/ui.js";
import { check, equal, ok, until } from "/units/check.js";

const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

function regions() {
  for (const id of ["polite", "urgent"]) document.getElementById(id)?.remove();
  return ["polite", "urgent"].map((id) => {
    const region = document.createElement("p");
    region.id = id;
    document.body.append(region);
    return region;
  });
}

function told(region) {
  const texts = [];
  new MutationObserver(() => region.textContent && texts.push(region.textContent)).observe(region, { childList: true });
  return texts;
}

check("a page shows its first state, and every later one once in a frame", async () => {
  const root = document.createElement("div");
  root.textContent = "Loading";
  let drawn = 0;
  const view = (n) => ((drawn += 1), html`<b>${n}</b>`);
  const shown = page({ root, view, init: 0, act: (n, event) => n + event });
  equal(root.textContent, "0");
  for (let i = 0; i < 50; i += 1) shown.act(1);
  equal(shown.state, 50);
  await frame();
  equal([root.textContent, drawn], ["50", 2]);
});

check("a state that did not change is not drawn", async () => {
  let drawn = 0;
  const shown = page({ root: document.createElement("div"), view: () => ((drawn += 1), html``), init: {}, act: (state) => state });
  shown.act({});
  await frame();
  equal(drawn, 1);
});

check("several roots take their templates by name", async () => {
  const root = { header: document.createElement("header"), main: document.createElement("main") };
  page({ root, view: () => ({ header: html`top`, main: html`middle` }), init: 0, act: (n) => n });
  equal([root.header.textContent, root.main.textContent], ["top", "middle"]);
});

check("effects see the state after and before, in the order of the events", () => {
  const seen = [];
  const changed = (state, before, event) => seen.push([state, before, event]);
  const shown = page({ root: document.createElement("div"), view: () => html``, init: 1, act: (n, event) => n * event, changed });
  shown.act(2);
  shown.act(3);
  equal(seen, [[2, 1, 2], [6, 2, 3]]);
});

check("a sentence is told once, also when it is announced again at once", async () => {
  const [polite, urgent] = regions();
  const [calm, loud] = [told(polite), told(urgent)];
  announce("Received");
  announce("Received");
  announce("Ready", { urgent: true });
  await until(() => calm.length && loud.length);
  await frame();
  equal([calm, loud], [["Received"], ["Ready"]]);
});

check("sentences follow each other by half a second", async () => {
  const [polite] = regions();
  const texts = told(polite);
  await new Promise((resolve) => setTimeout(resolve, 600)); // what the checks before announced is through
  announce("one");
  announce("two");
  await until(() => texts.length === 1);
  const firstAt = performance.now();
  await until(() => texts.length === 2);
  ok(performance.now() - firstAt > 350, "too soon");
  equal(texts, ["one", "two"]);
});

check("the focus moves to what the next state shows", async () => {
  const root = document.createElement("div");
  document.body.append(root);
  const shown = page({ root, view: (isOpen) => (isOpen ? html`<button id="unit-target">x</button>` : html``), init: false, act: () => true });
  shown.act();
  focusOn("#unit-target");
  await until(() => document.activeElement?.id === "unit-target");
  root.remove();
});
