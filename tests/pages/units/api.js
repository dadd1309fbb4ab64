/** Requests: what goes out, what an answer says, and that nothing is thrown. */

import { address, ask } from "/js/api.js";
import { check, equal, ok } from "/units/check.js";

let sent = [];

function answerWith(response) {
  sent = [];
  globalThis.fetch = async (url, request) => {
    sent.push({ url, ...request });
    return response(request);
  };
}

const json = (status, data, headers = {}) => () =>
  new Response(JSON.stringify(data), { status, headers: { "Content-Type": "application/json", ...headers } });

check("a body that is an object is sent as JSON, and a text byte for byte", async () => {
  answerWith(json(200, {}));
  await ask("/v1/x", { method: "POST", body: { a: 1 } });
  await ask("/v1/x", { method: "PUT", body: '{ "a":1}', key: "abc", headers: { "If-Match": "1" } });
  await ask("/v1/x");
  equal(sent.map(({ method, body }) => [method, body]), [["POST", '{"a":1}'], ["PUT", '{ "a":1}'], ["GET", null]]);
  equal(sent[1].headers["Idempotency-Key"], "abc");
  equal([sent[1].headers["If-Match"], sent[1].headers["Content-Type"]], ["1", "application/json"]);
  equal("Content-Type" in sent[2].headers || "Idempotency-Key" in sent[2].headers, false);
});

check("a success has its data, its tag and its request's id", async () => {
  answerWith(json(200, { items: [] }, { ETag: '"7"', "X-Request-Id": "r1" }));
  const answer = await ask("/v1/menu");
  equal([answer.status, answer.data, answer.problem, answer.etag, answer.requestId], [200, { items: [] }, null, '"7"', "r1"]);
  ok(Math.abs(answer.at - Date.now()) < 5000);
});

check("a refusal has its problem document, and when to come again", async () => {
  const problem = { type: "/problems/overloaded", title: "Overloaded", status: 503, request_id: "r2" };
  answerWith(json(503, problem, { "Content-Type": "application/problem+json", "Retry-After": "3" }));
  const answer = await ask("/v1/menu");
  equal([answer.status, answer.data, answer.problem, answer.retryAfterS, answer.requestId], [503, null, problem, 3, "r2"]);
});

check("an answer without a body is one", async () => {
  for (const status of [204, 304]) {
    answerWith(() => new Response(null, { status }));
    equal([(await ask("/v1/x")).status, (await ask("/v1/x")).data], [status, null]);
  }
});

check("no network, an unreadable answer and a stranger's page are no answer", async () => {
  answerWith(() => Promise.reject(new TypeError("failed to fetch")));
  equal((await ask("/v1/x")).status, 0);
  answerWith(() => new Response("{", { headers: { "Content-Type": "application/json" } }));
  equal((await ask("/v1/x")).status, 0);
  answerWith(() => new Response("<p>Please sign in to this network", { headers: { "Content-Type": "text/html" } }));
  equal((await ask("/v1/x")).status, 0);
});

/** A server that never answers, for which an aborted request fails as a real one does. */
const never = ({ signal }) =>
  new Promise((resolve, reject) => {
    const fail = () => reject(new DOMException("gone", "AbortError"));
    if (signal.aborted) fail();
    signal.addEventListener("abort", fail);
  });

check("waiting ends after its time, and when it is called off", async () => {
  answerWith(never);
  equal((await ask("/v1/x", { timeoutMs: 30 })).status, 0);
  const calledOff = new AbortController();
  const waiting = ask("/v1/x", { signal: calledOff.signal });
  calledOff.abort();
  equal((await waiting).status, 0);
  equal((await ask("/v1/x", { signal: calledOff.signal })).status, 0);
});

check("the time-out holds for the body, too", async () => {
  answerWith(({ signal }) => {
    const body = new ReadableStream({ start: (writer) => signal.addEventListener("abort", () => writer.error(new Error("gone"))) });
    return new Response(body, { headers: { "Content-Type": "application/json" } });
  });
  equal((await ask("/v1/x", { timeoutMs: 30 })).status, 0);
});

check("the API is on this page's origin, or where the page says", async () => {
  equal(address("/v1/menu"), "/v1/menu");
  const meta = document.createElement("meta");
  meta.name = "canteen-api";
  meta.content = "https://api.canteen.example/";
  document.head.append(meta);
  equal(address("/v1/menu"), "https://api.canteen.example/v1/menu");
  answerWith(json(200, {}));
  await ask("/v1/menu");
  equal([sent[0].url, sent[0].credentials], ["https://api.canteen.example/v1/menu", "include"]);
  meta.remove();
});
