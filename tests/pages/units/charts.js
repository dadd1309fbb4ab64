import { check, equal, ok } from "/units/check.js";
import { polylines, sparkline, summary, top } from "/js/ops/charts.js";
import { render } from "/vendor/lit-html/lit-html.js";

check("a chart says the newest value and the highest", () => {
  equal(summary([3, 9, 4]), { now: 4, highest: 9 });
});

check("a chart without a value says that nothing is known, not zero", () => {
  equal(summary([]), { now: null, highest: null });
  equal(summary([null, null]), { now: null, highest: null });
  equal(summary([7, null]), { now: null, highest: 7 });
});

check("the scale ends at a round number that no value exceeds", () => {
  equal([0, 0.4, 1, 1.1, 3, 7, 10, 84, 212, 1000, 1240].map(top), [1, 1, 1, 1.5, 3, 8, 10, 100, 250, 1000, 1500]);
});

check("the first second stands at the left, the last at the right, the highest at the top", () => {
  equal(polylines([0, 5, 10], { width: 100, height: 50, max: 10 }), ["0,50 50,25 100,0"]);
});

check("a second without an answer is a gap", () => {
  equal(polylines([10, 10, null, 0, 0], { width: 40, height: 10, max: 10 }), ["0,0 10,0", "30,10 40,10"]);
});

check("a single second between gaps is seen as a dash", () => {
  equal(polylines([null, 10, null], { width: 100, height: 10, max: 10 }), ["49,0 51,0"]);
  equal(polylines([4], { width: 100, height: 10, max: 10 }), ["0,6 1,6"]);
});

check("nothing is drawn of nothing", () => {
  equal(polylines([]), []);
  equal(polylines([null, null]), []);
});

check("a value over the scale stays inside the picture", () => {
  equal(polylines([20, 20], { width: 10, height: 10, max: 10 }), ["0,0 10,0"]);
});

check("the limit is drawn once a value comes near it, and has attributes alone", () => {
  const shown = (values) => {
    const box = document.createElement("div");
    render(sparkline({ values, label: "Mean answer", limit: 1000 }), box);
    return box;
  };
  equal(shown([80, 90]).querySelectorAll(".spark-limit").length, 0);
  const near = shown([80, 1240]);
  equal(near.querySelector(".spark-limit").getAttribute("y1"), "16");
  equal(near.querySelector("svg").getAttribute("aria-label"), "Mean answer");
  ok(near.querySelectorAll("[style]").length === 0, "a style attribute");
});
