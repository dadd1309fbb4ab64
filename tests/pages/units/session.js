/** Who is signed in, over several tabs. A tab here is a copy of the session's module; the API is a function of this file. */

import { ask } from "/js/api.js";
import { del, get, put } from "/js/store.js";
import { check, equal, ok, until } from "/units/check.js";

const AMINA = { student_id: "210041101", role: "student", full_name: "Amina" };
const BADRUL = { student_id: "210041102", role: "student", full_name: "Badrul" };
const RENEWED_AT = "renewed_at";
let copies = 0;
let requests = [];
let answers = {};

/** Answer "METHOD /path" by a list, the last one for ever: a status, or [status, body]. */
function serve(given) {
  requests = [];
  answers = given;
}

globalThis.fetch = async (url, { method, body, headers }) => {
  const name = `${method} ${new URL(url, location.href).pathname}`;
  requests.push({ name, body: body && JSON.parse(body), text: body, headers });
  const left = answers[name] ?? [[404, {}]];
  const [status, data] = [left.length > 1 ? left.shift() : left[0]].flat();
  if (status === 0) throw new TypeError("no network");
  const text = data === undefined ? null : JSON.stringify(data);
  return new Response(text, { status, headers: { "Content-Type": "application/json" } });
};

async function newTab() {
  const { session } = await import(`/js/session.js?copy=${(copies += 1)}`);
  const changes = [];
  session.subscribe((change) => changes.push(change));
  return { session, changes, last: () => changes.at(-1) };
}

async function signedInTab(person = AMINA) {
  await del(RENEWED_AT);
  const tab = await newTab();
  serve({ "GET /v1/me": [[200, person]] });
  await tab.session.start();
  return tab;
}

const counted = (name) => requests.filter((request) => request.name === name).length;

check("a page learns at its start who is signed in", async () => {
  const tab = await signedInTab();
  equal(tab.session.who, AMINA);
  equal(tab.changes, [{ who: AMINA, reason: "started", other: null }]);
});

check("a page whose access has expired renews it at its start", async () => {
  await Promise.all([del(RENEWED_AT), put("who", AMINA)]);
  const tab = await newTab();
  serve({ "GET /v1/me": [[401, {}], [200, AMINA]], "POST /v1/token/refresh": [[200, AMINA]] });
  equal(await tab.session.start(), AMINA);
  equal(requests[1].body, { cookie: true, tokens: false });
});

check("a newcomer is nobody after one request", async () => {
  await Promise.all([del(RENEWED_AT), del("who")]);
  const tab = await newTab();
  serve({ "GET /v1/me": [[401, {}]] });
  equal(await tab.session.start(), null);
  equal([requests.length, tab.changes], [1, []]);
});

check("while identity is away the person of the last time counts", async () => {
  await signedInTab();
  const tab = await newTab();
  serve({ "GET /v1/me": [[503, {}]] });
  equal((await tab.session.start()).student_id, AMINA.student_id);
});

check("signing in asks for cookies and no tokens, and tells the other tabs", async () => {
  const [tab, other] = [await newTab(), await newTab()];
  serve({ "POST /v1/login": [[200, AMINA]] });
  const answer = await tab.session.signIn({ studentId: "210041101", password: "secret" });
  equal(answer.status, 200);
  equal(requests[0].body, { student_id: "210041101", password: "secret", cookie: true, tokens: false });
  equal(tab.last().reason, "signed-in");
  await until(() => other.session.who?.student_id === AMINA.student_id);
});

check("a new password goes along with a password for one use", async () => {
  const tab = await newTab();
  serve({ "POST /v1/login": [[200, AMINA]] });
  await tab.session.signIn({ studentId: "210041101", password: "once", newPassword: "for ever" });
  equal(requests[0].body.new_password, "for ever");
});

check("a refused sign-in changes nothing", async () => {
  const tab = await newTab();
  serve({ "POST /v1/login": [[401, {}]] });
  equal((await tab.session.signIn({ studentId: "1", password: "x" })).status, 401);
  equal(requests.length, 1);
  equal(tab.session.who, null);
});

check("two tabs that renew at the same moment renew once", async () => {
  const [one, two] = [await signedInTab(), await signedInTab()];
  serve({ "POST /v1/token/refresh": [[200, AMINA]] });
  equal(await Promise.all([one.session.renew(), two.session.renew(), one.session.renew()]), [true, true, true]);
  equal(counted("POST /v1/token/refresh"), 1);
});

check("a renewal that another device won is found out, and nobody is signed out", async () => {
  const tab = await signedInTab();
  serve({ "POST /v1/token/refresh": [[401, {}]], "GET /v1/me": [[200, AMINA]] });
  ok(await tab.session.renew());
  equal(tab.session.who, AMINA);
});

check("an ended session is believed when both have refused, and all tabs are told", async () => {
  const [tab, other] = [await signedInTab(), await signedInTab()];
  serve({ "POST /v1/token/refresh": [[401, {}]], "GET /v1/me": [[401, {}]] });
  equal(await tab.session.renew(), false);
  equal(tab.last(), { who: null, reason: "expired", other: null });
  await until(() => other.last().reason === "expired");
});

check("a renewal that gets no answer signs nobody out", async () => {
  const tab = await signedInTab();
  serve({ "POST /v1/token/refresh": [[0]] });
  equal(await tab.session.renew(), false);
  equal(tab.session.who, AMINA);
});

check("a tab stops when another person signs in in another one", async () => {
  const [mine, theirs] = [await signedInTab(), await newTab()];
  serve({ "POST /v1/login": [[200, BADRUL]] });
  await theirs.session.signIn({ studentId: BADRUL.student_id, password: "x" });
  await until(() => mine.last().reason === "other-person");
  equal(mine.last(), { who: null, reason: "other-person", other: BADRUL.student_id });
  equal(theirs.session.who, BADRUL);
});

check("a tab stops when another one starts as another person", async () => {
  const mine = await signedInTab();
  await signedInTab(BADRUL);
  await until(() => mine.last().reason === "other-person");
});

check("a renewal that brings another person's cookies repeats no request of this tab", async () => {
  const tab = await signedInTab();
  serve({ "POST /v1/orders": [[401, {}], [201, {}]], "POST /v1/token/refresh": [[200, BADRUL]] });
  const answer = await ask("/v1/orders", { method: "POST", body: "{}", key: "k" });
  equal(answer.status, 401);
  equal(tab.last().reason, "other-person");
});

check("a refused request renews the session and is sent once more, with the same bytes and key", async () => {
  await signedInTab();
  serve({ "POST /v1/orders": [[401, {}], [201, { id: "1" }]], "POST /v1/token/refresh": [[200, AMINA]] });
  const answer = await ask("/v1/orders", { method: "POST", body: '{"lines": [ ]}', key: "abc" });
  equal(answer.status, 201);
  const orders = requests.filter(({ name }) => name === "POST /v1/orders");
  equal(orders.map(({ text }) => text), ['{"lines": [ ]}', '{"lines": [ ]}']);
  equal(orders.map(({ headers }) => headers["Idempotency-Key"]), ["abc", "abc"]);
});

check("a second refusal is the answer", async () => {
  await signedInTab();
  serve({ "GET /v1/orders": [[401, {}]], "POST /v1/token/refresh": [[200, AMINA]] });
  equal((await ask("/v1/orders")).status, 401);
  equal(counted("GET /v1/orders"), 2);
});

check("signing out forgets what belongs to the person, and nothing else, in all tabs", async () => {
  const [tab, other] = [await signedInTab(), await signedInTab()];
  await Promise.all([put(`order/${AMINA.student_id}`, 1), put(`order/${BADRUL.student_id}`, 2), put("settings", 3)]);
  serve({ "POST /v1/logout": [[204]] });
  equal((await tab.session.signOut()).status, 204);
  equal([await get(`order/${AMINA.student_id}`), await get(`order/${BADRUL.student_id}`), await get("settings")], [undefined, 2, 3]);
  equal(tab.last().reason, "signed-out");
  await until(() => other.last().reason === "signed-out");
});

check("without the server's answer nobody is signed out: the cookies are still there", async () => {
  const tab = await signedInTab();
  await put(`order/${AMINA.student_id}`, 1);
  serve({ "POST /v1/logout": [[0]] });
  equal((await tab.session.signOut()).status, 0);
  equal(tab.session.who, AMINA);
  equal(await get(`order/${AMINA.student_id}`), 1);
});

check("a session is renewed between 65 and 85 % of its life", async () => {
  const tab = await signedInTab({ ...AMINA, expires_in: 2 });
  const startedAt = performance.now();
  serve({ "POST /v1/token/refresh": [[200, AMINA]] });
  await until(() => counted("POST /v1/token/refresh") === 1, 2500);
  ok(performance.now() - startedAt >= 1250, "too early");
  await until(() => tab.session.who.expires_in === undefined);
});

check("nothing of a token is kept", async () => {
  await signedInTab();
  equal([document.cookie, localStorage.length, sessionStorage.length], ["", 0, 0]);
});
