/** The form for signing in: which message each answer leads to, and how long it stands. */

import { deviceOf } from "/js/account_model.js";
import { now } from "/js/clock.js";
import { loginModel } from "/js/login_model.js";
import { check, equal, ok } from "/units/check.js";

const FIELDS = { studentId: "210041101", password: "secret" };
const sent = (state = loginModel.init()) => loginModel.act(state, { type: "login/sent", studentId: FIELDS.studentId });
const answered = (state, answer, fields = FIELDS) =>
  loginModel.act(state, { type: "login/answered", fields, answer: { problem: null, retryAfterS: null, requestId: null, at: now(), ...answer } });
const CHANGE = { status: 403, problem: { type: "/problems/password-change-required" } };

check("each answer has its message, and the id stays in its field", () => {
  const after = (answer) => answered(sent(), answer).status;
  equal([200, 401, 429, 503, 0, 502, 400, 500].map((status) => after({ status })), ["idle", "wrong", "too-many", "away", "away", "away", "invalid", "broken"]);
  equal(answered(sent(), { status: 401 }).studentId, "210041101");
  equal(answered(sent(), { status: 500, requestId: "r1" }).requestId, "r1");
});

check("too many tries wait as long as the answer says, and then it is possible again", () => {
  const waiting = answered(sent(), { status: 429, retryAfterS: 42 });
  ok(Math.abs(waiting.untilMs - now() - 42_000) < 1000);
  equal(loginModel.act(waiting, { type: "tick" }).status, "too-many");
  equal(loginModel.act({ ...waiting, untilMs: now() - 1 }, { type: "tick" }).status, "idle");
});

check("a tick draws a countdown again, and nothing else", () => {
  const waiting = answered(sent(), { status: 503 });
  ok(loginModel.act(waiting, { type: "tick" }) !== waiting);
  const idle = loginModel.init();
  ok(loginModel.act(idle, { type: "tick" }) === idle);
  ok(loginModel.act(idle, { type: "of another part" }) === idle);
});

check("a password for one use asks for a new one, and is kept until it is replaced", () => {
  const choosing = answered(sent(), CHANGE);
  equal([choosing.status, choosing.oneTime], ["choose", "secret"]);
  const fields = { ...FIELDS, newPassword: "short" };
  const unusable = answered(sent(choosing), { status: 400 }, fields);
  equal([unusable.status, unusable.oneTime], ["unusable", "secret"]);
  equal(answered(sent(unusable), { status: 200 }, fields), loginModel.init());
});

check("a password for one use that was refused is forgotten", () => {
  const choosing = answered(sent(), CHANGE);
  equal(answered(sent(choosing), { status: 401 }, { ...FIELDS, newPassword: "long enough" }).oneTime, "");
  equal(loginModel.act(choosing, { type: "login/back" }), loginModel.init());
});

check("the end of a session says why", () => {
  const ended = (change) => loginModel.act(loginModel.init(), { type: "login/ended", who: null, other: null, ...change });
  equal(ended({ reason: "expired" }).status, "expired");
  equal([ended({ reason: "other-person", other: "2" }).status, ended({ reason: "other-person", other: "2" }).other], ["other", "2"]);
  equal(ended({ reason: "signed-out" }).status, "idle");
});

check("a device is named by its browser and system", () => {
  const agents = {
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36": ["Chrome", "Android"],
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.0 Mobile/15E Safari/604.1": ["Safari", "iPhone"],
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0": ["Edge", "Windows"],
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0": ["Firefox", "Linux"],
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36": ["Samsung Internet", "Android"],
    "curl/8.5": [null, null],
  };
  for (const [agent, [browser, system]] of Object.entries(agents)) equal(deviceOf(agent), { browser, system });
  equal(deviceOf(null), { browser: null, system: null });
});
