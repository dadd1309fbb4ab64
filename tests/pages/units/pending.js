// Presses on their way to the kitchen: held, sent, repeated until an answer says what became of them.
import { check, equal, ok } from "/units/check.js";
import * as pending from "/js/kitchen/pending.js";

const TICKET = { id: "t1", order_id: "o1" };
const OTHER = { id: "t2", order_id: "o2" };

const held = (presses = [], ticket = TICKET, now = 0) => pending.hold(presses, { ticket, action: "start", now, undoMs: 4_000 });
const sent = (presses, ticketId = "t1") => pending.sending(presses, ticketId);
const answer = (presses, status, more = {}) => pending.answered(presses, "t1", { status, ...more }, 10_000);

check("a press is sent when its undo window is over, and not before", () => {
  const presses = held();
  equal(pending.due(presses, 3_999), []);
  equal(pending.nextDueIn(presses, 1_000), 3_000);
  equal(pending.due(presses, 4_000).length, 1);
  equal(pending.nextDueIn([], 0), null);
});

check("an undo in time leaves nothing to send", () => {
  equal(pending.undo(held(), "t1"), []);
  equal(pending.undo(held(held(), OTHER), "t1").map((press) => press.ticketId), ["t2"]);
});

check("a press that was sent cannot be taken back", () => {
  equal(pending.undo(sent(held()), "t1").length, 1);
  const again = answer(sent(held()), 0).presses;
  equal(pending.undo(again, "t1").length, 1, "it may have arrived");
});

check("a second press of the same ticket changes nothing", () => {
  const first = held();
  ok(pending.hold(first, { ticket: TICKET, action: "ready", now: 1_000, undoMs: 4_000 }) === first);
});

check("U takes back the last press that can be", () => {
  equal(pending.lastHeld(held(held(), OTHER)).ticketId, "t2");
  equal(pending.lastHeld(sent(held(held(), OTHER), "t2")).ticketId, "t1");
  equal(pending.lastHeld(sent(held())), null);
});

check("an answer ends a press", () => {
  equal(answer(sent(held()), 200), { outcome: "done", presses: [] });
  equal(answer(sent(held()), 409), { outcome: "refused", presses: [] });
  equal(answer(sent(held()), 404), { outcome: "unknown", presses: [] });
  equal(answer(sent(held()), 403), { outcome: "forbidden", presses: [] });
  equal(answer(sent(held()), 400), { outcome: "broken", presses: [] });
});

check("without an answer a press is sent again, with a pause that grows to 15 s", () => {
  const pauses = [];
  let presses = held();
  for (let tries = 0; tries < 7; tries += 1) {
    presses = answer(sent(presses), 0).presses;
    pauses.push((presses[0].dueAt - 10_000) / 1000);
  }
  equal(pauses, [1, 2, 4, 8, 15, 15, 15]);
});

check("busy, signed out and broken services are asked again, and Retry-After is kept", () => {
  for (const status of [0, 401, 429, 500, 502, 503, 504]) equal(answer(sent(held()), status).outcome, "again", String(status));
  const { presses } = answer(sent(held()), 503, { retryAfterS: 7 });
  equal([presses[0].dueAt, presses[0].isOffline], [17_000, false]);
  equal(answer(sent(held()), 0).presses[0].isOffline, true);
});

check("a press that is being sent is not sent twice", () => {
  equal(pending.due(sent(held()), 99_000), []);
});

check("when the network is back, what waits for it is sent at once, and what is held is not", () => {
  const waiting = answer(sent(held()), 0).presses;
  const both = pending.hurry(held(waiting, OTHER, 10_000), 10_500);
  equal(pending.due(both, 10_500).map((press) => press.ticketId), ["t1"]);
});

check("10,000 random steps never send a press twice at once, nor one that was taken back", () => {
  let presses = [];
  let now = 0;
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const inFlight = new Set();
  const undone = new Set();
  for (let step = 0; step < 10_000; step += 1) {
    now += random(1_500);
    const id = `t${random(5)}`;
    const kind = random(4);
    if (kind === 0 && !pending.pressOf(presses, id)) undone.delete(id);
    if (kind === 0) presses = pending.hold(presses, { ticket: { id, order_id: id }, action: "start", now, undoMs: 4_000 });
    if (kind === 1) {
      const before = presses.length;
      presses = pending.undo(presses, id);
      if (presses.length < before) undone.add(id);
    }
    for (const press of pending.due(presses, now)) {
      ok(!inFlight.has(press.ticketId), "two requests for one press");
      ok(!undone.has(press.ticketId), "sent after it was taken back");
      presses = pending.sending(presses, press.ticketId);
      inFlight.add(press.ticketId);
    }
    if (kind === 3 && inFlight.delete(id)) presses = pending.answered(presses, id, { status: [200, 0, 503, 409][random(4)] }, now).presses;
  }
});
