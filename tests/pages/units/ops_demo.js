import { check, equal } from "/units/check.js";
import { actions, afterDemo, crowdRequest, emptyDemo, isPresent, needsConfirmation } from "/js/ops/demo_model.js";

const status = { members: [{ name: "stock", state: "running", pid: 7, restarts: 0, since: "2026-11-30T17:45:58Z" }], kitchen_mode: "auto", crowd: null };
const here = { status: 200, data: status };
const nowhere = { status: 404, data: null };
const silent = { status: 0, data: null };

check("controls are there where they answer, and absent where nothing is at that address", () => {
  equal([here, nowhere].map((answer) => afterDemo(emptyDemo(), answer).status), ["present", "absent"]);
});

check("an answer of somebody else at that address makes no controls", () => {
  equal(isPresent(afterDemo(emptyDemo(), { status: 200, data: { hello: "world" } })), false);
});

check("controls that were there and do not answer are silent, and keep what they said", () => {
  for (const answer of [silent, nowhere, { status: 503, data: null }]) {
    const after = afterDemo(afterDemo(emptyDemo(), here), answer);
    equal([after.status, after.members.length], ["silent", 1]);
  }
});

check("no answer at first says nothing about them", () => {
  equal(afterDemo(emptyDemo(), silent).status, "unknown");
});

check("a member can be asked for what fits its state", () => {
  equal(["running", "starting", "stopped", "frozen"].map((state) => actions({ state })), [["off", "kill", "freeze"], ["off", "kill", "freeze"], ["on"], ["off", "kill", "thaw"]]);
});

check("what all services need is asked twice, and bringing it back is not", () => {
  equal(["off", "kill", "freeze", "thaw", "on"].map((action) => needsConfirmation("postgres", action)), [true, true, true, false, false]);
  equal(needsConfirmation("nats", "off"), true);
  equal(needsConfirmation("stock", "off"), false);
});

check("a crowd has 1 to 200 students within 0 to 60 seconds", () => {
  equal(crowdRequest({ students: "200", withinS: "10", isHot: true }), { students: 200, within_s: 10, hot: true });
  for (const [students, withinS] of [["0", "10"], ["201", "10"], ["", "10"], ["20", "61"], ["20", ""], ["2.5", "1"], ["x", "1"]]) {
    equal(crowdRequest({ students, withinS, isHot: false }), null);
  }
});
