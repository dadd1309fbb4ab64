import { check, equal, ok } from "/units/check.js";
import { access, afterPulse, changes, dependencies, emptyNow, figure, missing, newest, replicas, series, slow, troubled } from "/js/ops/model.js";

const T0 = 1_000_000;

const pulse = (values = {}) => ({
  service: "gateway", replica: "gateway-1", health: { status: "ok", dependencies: { postgres: "ok", nats: "ok" } },
  per_s: 240, mean_ms: 84, p50_ms: 61, p95_ms: 240, refused_share: 0, failed_share: 0, is_slow: false, slow_since: null,
  figures: {}, seconds: [], ...values,
});
const answer = (values = {}) => ({ status: 200, data: pulse(values), problem: null, requestId: "r-1" });
const silence = { status: 0, data: null, problem: null, requestId: null };
const fromEdge = { status: 503, data: null, problem: { type: "/problems/unavailable", source: "edge" }, requestId: "r-3" };
const refusal = (status) => ({ status, data: null, problem: { type: "/problems/unavailable" }, requestId: "r-2" });
const natsAway = { health: { status: "unavailable", dependencies: { postgres: "ok", nats: "unavailable: no answer within 1 s" } } };

const after = (...steps) => steps.reduce((state, [service, given, at = T0]) => afterPulse(state, service, given, at), emptyNow());
const everywhere = (given, at = T0) => after(...["gateway", "identity", "stock", "kitchen", "notification"].map((name) => [name, given, at]));
const kind = (given) => after(["stock", given]).rows.stock.kind;

check("the answer of a service tells its state", () => {
  equal([kind(answer()), kind(answer(natsAway)), kind(fromEdge), kind(silence)], ["ready", "not-ready", "down", "silent"]);
});

check("a 503 that a service itself gave does not count as its death", () => {
  equal(kind(refusal(503)), "not-ready");
  equal(kind(refusal(500)), "not-ready");
});

check("a service that is away has no figures", () => {
  const state = after(["gateway", answer({ figures: { pending_orders: 14 } })], ["gateway", fromEdge, T0 + 1000]);
  equal(state.rows.gateway.pulse, null);
  equal(figure(state, "pending_orders"), null);
});

check("a state that begins while the page looks has its time, and keeps it", () => {
  const state = after(["stock", answer()], ["stock", fromEdge, T0 + 1000], ["stock", fromEdge, T0 + 2000]);
  equal(state.rows.stock.since, T0 + 1000);
});

check("since when a state holds that was there from the start is not known", () => {
  equal(after(["stock", fromEdge]).rows.stock.since, null);
});

check("a silent service keeps the time of its last answer", () => {
  const state = after(["stock", answer()], ["stock", silence, T0 + 3000]);
  equal([state.rows.stock.at, newest(state)], [T0, T0]);
});

check("one service that accepts the sign-in is enough to see the others fall", () => {
  equal(access(after(["gateway", answer()], ["identity", fromEdge], ["stock", refusal(401)])), "in");
});

check("the sign-in is judged by the services that answer", () => {
  equal(access(emptyNow()), "loading");
  equal(access(after(["gateway", refusal(401)], ["identity", fromEdge])), "out");
  equal(access(after(["gateway", refusal(403)], ["stock", refusal(401)])), "forbidden");
  equal(access(everywhere(silence)), "nobody");
  equal(access(everywhere(fromEdge)), "nobody");
});

check("a service that accepted the sign-in and fell says nothing about it any more", () => {
  equal(access(after(["gateway", answer()], ["gateway", fromEdge], ["stock", refusal(401)])), "out");
});

check("the alert is the service's own judgement, whatever its figures are", () => {
  equal(slow(after(["gateway", answer({ mean_ms: 5000 })])), []);
  const state = after(["gateway", answer({ is_slow: true, mean_ms: 1240, slow_since: "2026-11-30T17:45:50Z" })]);
  equal(slow(state), ["gateway"]);
  equal(state.rows.gateway.slow, { mean_ms: 1240, since: "2026-11-30T17:45:50Z" });
});

check("a slow login is no alert", () => {
  const state = after(["identity", answer({ is_slow: true })]);
  equal([slow(state), changes(emptyNow(), state)], [[], []]);
});

check("an alert holds over a lost answer, and is said once", () => {
  const before = after(["gateway", answer({ is_slow: true })]);
  const lost = afterPulse(before, "gateway", silence, T0 + 2000);
  const again = afterPulse(lost, "gateway", answer({ is_slow: true }), T0 + 3000);
  equal([slow(lost), slow(again)], [["gateway"], ["gateway"]]);
  equal(changes(lost, again), [{ what: "ready", service: "gateway" }]);
});

check("a service that died is not slow, and did not become normal", () => {
  const before = after(["gateway", answer({ is_slow: true })]);
  const dead = afterPulse(before, "gateway", fromEdge, T0 + 1000);
  equal(slow(dead), []);
  equal(changes(before, dead), [{ what: "down", service: "gateway" }]);
});

check("the end of an alert is said", () => {
  const before = after(["gateway", answer({ is_slow: true })]);
  equal(changes(before, afterPulse(before, "gateway", answer(), T0 + 1000)), [{ what: "normal", service: "gateway" }]);
});

check("a page that opens on a healthy system says nothing", () => {
  equal(changes(emptyNow(), everywhere(answer())), []);
});

check("a page that opens on a sick system says so", () => {
  equal(changes(emptyNow(), after(["stock", fromEdge])), [{ what: "down", service: "stock" }]);
});

check("the same picture again is nothing new", () => {
  const state = everywhere(answer(natsAway));
  equal(changes(state, afterPulse(state, "stock", answer(natsAway), T0 + 1000)), []);
});

check("signing out and in again says nothing of the services", () => {
  const out = everywhere(refusal(401));
  equal([changes(everywhere(answer()), out), changes(everywhere(fromEdge), emptyNow()), changes(out, everywhere(answer()))], [[], [], []]);
});

check("the cause of several rows is named once", () => {
  const state = everywhere(answer(natsAway));
  equal(missing(state), [{ name: "nats", services: ["gateway", "identity", "stock", "kitchen", "notification"] }]);
  equal(troubled(state).length, 5);
});

check("a dependency's reason is told without the word before it", () => {
  equal(dependencies(after(["stock", answer(natsAway)]).rows.stock), [
    { name: "postgres", isOk: true, reason: "" },
    { name: "nats", isOk: false, reason: "no answer within 1 s" },
  ]);
});

check("counts are summed over the services, ages and lags are not", () => {
  const state = after(
    ["gateway", answer({ figures: { outbox_rows: 5, outbox_oldest_s: 2, reader_lag: 3 } })],
    ["kitchen", answer({ figures: { outbox_rows: 7, outbox_oldest_s: 1, reader_lag: 9 } })],
  );
  equal(["outbox_rows", "outbox_oldest_s", "reader_lag", "open_streams"].map((name) => figure(state, name)), [12, 2, 9, null]);
});

check("the last minute has a gap where the gateway had nothing to say", () => {
  const seconds = [
    { at: "2026-11-30T17:45:50Z", per_s: 1, mean_ms: null, figures: { orders_per_s: 0 } },
    { at: "2026-11-30T17:45:51Z", per_s: 2, mean_ms: 30, figures: {} },
  ];
  const state = after(["gateway", answer({ seconds })]);
  equal([series(state, "mean_ms"), series(state, "orders_per_s"), series(state, "per_s")], [[null, 30], [0, null], [1, 2]]);
});

check("replicas that answer in turn are all seen, and forgotten when they stop", () => {
  const two = after(["stock", answer({ replica: "stock-2" })], ["stock", answer({ replica: "stock-1" }), T0 + 1000]);
  equal(replicas(two.rows.stock), ["stock-1", "stock-2"]);
  equal(replicas(afterPulse(two, "stock", answer({ replica: "stock-1" }), T0 + 40_000).rows.stock), ["stock-1"]);
});

check("every order of answers leaves each service with its own newest state", () => {
  const names = ["gateway", "identity", "stock", "kitchen", "notification"];
  for (let round = 0; round < 200; round += 1) {
    const last = {};
    let state = emptyNow();
    for (let step = 0; step < 30; step += 1) {
      const name = names[Math.floor(Math.random() * names.length)];
      const given = [answer(), answer(natsAway), fromEdge, silence][Math.floor(Math.random() * 4)];
      last[name] = kind(given);
      state = afterPulse(state, name, given, T0 + step);
    }
    for (const [name, wanted] of Object.entries(last)) ok(state.rows[name].kind === wanted, `${name} is ${state.rows[name].kind}, not ${wanted}`);
  }
});
