/** Event streams: the parser against every way of cutting a text, and what a stream does after each kind of end. */

import { openStream, parser, waitMs } from "/js/stream.js";
import { check, equal, ok, until } from "/units/check.js";

const TEXT = 'retry: 1000\n\nid: 7-1\nevent: order.status\ndata: {"a":1}\ndata: two\n\n: a comment\n\ndata:tight\n\nid: 7-2\n\n';
const EVENTS = [
  { id: "7-1", type: "order.status", data: '{"a":1}\ntwo' },
  { id: "7-1", type: "message", data: "tight" },
  { id: "7-2", type: "message", data: null },
];

function parse(...parts) {
  const feed = parser();
  return parts.flatMap((part) => feed(part));
}

check("a text is parsed the same in one part and in two, cut anywhere", () => {
  equal(parse(TEXT), EVENTS);
  for (let cut = 0; cut <= TEXT.length; cut += 1) equal(parse(TEXT.slice(0, cut), TEXT.slice(cut)), EVENTS, `cut at ${cut}`);
});

check("lines end with LF, CRLF or CR, also character by character", () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const text = TEXT.replaceAll("\n", end);
    equal(parse(text), EVENTS);
    equal(parse(...text), EVENTS);
  }
});

check("an event ended by CR is given at once, and a LF after it begins no new line", () => {
  const feed = parser();
  equal(feed("data: a\r\r"), [{ id: null, type: "message", data: "a" }]);
  equal(feed("\ndata: b\n\n"), [{ id: null, type: "message", data: "b" }]);
});

check("comments, empty blocks and unknown fields give no event", () => {
  equal(parse(":\n\n", ": keep alive\n\n", "\n\n\n", "event: lonely\n\n", "colour: red\n\n"), []);
});

check("the name of a block without data does not reach the next block", () => {
  equal(parse("event: lonely\n\ndata: x\n\n"), [{ id: null, type: "message", data: "x" }]);
});

check("empty data is data, one blank after the colon is dropped, others stay", () => {
  equal(parse("data\n\n", "data:\n\n", "data:  two\n\n").map((event) => event.data), ["", "", " two"]);
});

check("an id with a zero is ignored, and an empty one forgets the last", () => {
  equal(parse("id: a\ndata: 1\n\n", "id: b\0c\ndata: 2\n\n", "id\ndata: 3\n\n").map((event) => event.id), ["a", "a", ""]);
});

check("an unfinished block is no event", () => {
  equal(parse("data: half\n", "id: 9\n"), []);
});

/** A clock that moves when it is told, and a server whose answers are given one by one. */
function stage() {
  let at = 0;
  let timers = [];
  const requests = [];
  const clock = {
    now: () => at,
    random: () => 0,
    after(ms, fn) {
      const timer = { due: at + ms, fn };
      timers.push(timer);
      return () => (timers = timers.filter((each) => each !== timer));
    },
  };
  const pass = (ms) => {
    at += ms;
    const due = timers.filter((timer) => timer.due <= at);
    timers = timers.filter((timer) => timer.due > at);
    for (const timer of due) timer.fn();
  };
  const open = (url, request) =>
    new Promise((resolve, reject) => {
      request.signal.addEventListener("abort", () => reject(new DOMException("gone", "AbortError")));
      requests.push({ url, headers: request.headers, signal: request.signal, resolve, reject });
    });
  return { clock, pass, open, requests, waits: () => timers.map((timer) => timer.due - at).sort((a, b) => a - b) };
}

/** Answer a request with a stream that the test writes to. */
function answerWith(request) {
  let writer;
  const body = new ReadableStream({ start: (controller) => (writer = controller) });
  request.signal.addEventListener("abort", () => writer.error(new DOMException("gone", "AbortError")));
  request.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
  const encoder = new TextEncoder();
  return { write: (text) => writer.enqueue(encoder.encode(text)), end: () => writer.close() };
}

function started(more = {}) {
  const scene = stage();
  const events = [];
  const states = [];
  const { clock, open } = scene;
  const onEvent = (event) => events.push(event);
  const onState = (link) => states.push(link.state);
  const stream = openStream({ path: "/v1/events", onEvent, onState, clock, open, renew: async () => true, isSignedIn: () => true, ...more });
  return { ...scene, stream, events, states, request: (number) => until(() => scene.requests[number - 1]) };
}

check("a stream gives its events, and a lost one resumes behind the last", async () => {
  const scene = started();
  const first = answerWith(await scene.request(1));
  first.write("id: 5\nevent: order.status\ndata: x\n\n");
  await until(() => scene.events.length === 1);
  scene.pass(2000);
  first.end();
  await until(() => scene.states.at(-1) === "reconnecting");
  scene.pass(0);
  equal((await scene.request(2)).headers["Last-Event-ID"], "5");
  equal(scene.states, ["connecting", "live", "reconnecting"]);
  scene.stream.close();
});

check("an id of its own moves the place without an event", async () => {
  const scene = started();
  answerWith(await scene.request(1)).write("id: 9\n\n");
  await until(() => scene.stream.lastId === "9");
  equal(scene.events, []);
  scene.stream.close();
});

check("the first request names the id that it was given, and without one no id", async () => {
  const scene = started({ lastId: "3" });
  equal((await scene.request(1)).headers["Last-Event-ID"], "3");
  scene.stream.close();
  const other = started();
  equal("Last-Event-ID" in (await other.request(1)).headers, false);
  other.stream.close();
});

check("a stream that says nothing for 25 s is given up, and one that comments is not", async () => {
  const scene = started();
  const server = answerWith(await scene.request(1));
  await until(() => scene.states.at(-1) === "live");
  scene.pass(20_000);
  server.write(": still here\n\n");
  await until(() => scene.waits().includes(25_000));
  scene.pass(20_000);
  equal(scene.states.at(-1), "live");
  scene.pass(5_000);
  await until(() => scene.states.at(-1) === "reconnecting");
  scene.stream.close();
});

check("a service that gives no answer is given up after the same time", async () => {
  const scene = started();
  await scene.request(1);
  scene.pass(25_000);
  await until(() => scene.states.at(-1) === "reconnecting");
  scene.stream.close();
});

check("a 503 says when to come again", async () => {
  const scene = started();
  (await scene.request(1)).resolve(new Response("", { status: 503, headers: { "Retry-After": "7" } }));
  await until(() => scene.waits().includes(7000));
  scene.stream.close();
});

check("a 401 renews the session and comes again at once", async () => {
  let renewals = 0;
  const scene = started({ renew: async () => Boolean((renewals += 1)) });
  (await scene.request(1)).resolve(new Response("", { status: 401 }));
  await until(() => scene.states.at(-1) === "reconnecting");
  scene.pass(0);
  await scene.request(2);
  equal(renewals, 1);
  scene.stream.close();
});

check("who is signed out is not tried again", async () => {
  const scene = started({ renew: async () => false, isSignedIn: () => false });
  (await scene.request(1)).resolve(new Response("", { status: 401 }));
  await until(() => scene.states.at(-1) === "refused");
  scene.pass(60_000);
  equal(scene.requests.length, 1);
});

check("an answer that is no stream counts as none", async () => {
  const scene = started();
  (await scene.request(1)).resolve(new Response("<p>Please sign in to this network", { headers: { "Content-Type": "text/html" } }));
  await until(() => scene.states.at(-1) === "reconnecting");
  equal(scene.states.includes("live"), false);
  scene.stream.close();
});

check("a closed stream gives no further event and makes no further request", async () => {
  const scene = started();
  const server = answerWith(await scene.request(1));
  await until(() => scene.states.at(-1) === "live");
  scene.stream.close();
  equal(scene.states.at(-1), "closed");
  ok(scene.requests[0].signal.aborted);
  try {
    server.write("data: late\n\n");
  } catch {
    // the stream is gone: that is what is meant
  }
  scene.pass(60_000);
  equal([scene.events, scene.requests.length], [[], 1]);
});

check("pauses grow from one to five seconds with half of it left to chance, and a stream that ran is followed at once", () => {
  const lost = { status: 0, retryAfterS: NaN, isLive: false };
  equal([1, 2, 3, 4, 5, 9].map((failures) => waitMs(lost, failures, 0.5)), [1000, 2000, 4000, 5000, 5000, 5000]);
  equal([waitMs(lost, 1, 0), waitMs(lost, 1, 1)], [500, 1500]);
  equal(waitMs({ status: 200, retryAfterS: NaN, isLive: true }, 0, 0.5), 0);
  equal(waitMs({ status: 503, retryAfterS: 4, isLive: false }, 3, 1), 6000);
  equal([1, 2].map((failures) => waitMs({ status: 401, retryAfterS: NaN, isLive: false }, failures, 0.5)), [0, 2000]);
});
