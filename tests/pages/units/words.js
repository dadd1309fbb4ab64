/** Sentences with their values, and how numbers, money and times are written. */

import { chosen, day, digits, lang, languages, latinDigits, learn, money, speak, t, time } from "/js/words.js";
import { check, equal, ok } from "/units/check.js";

learn({
  "unit.plain": "Sold out",
  "unit.values": "{dish} is {dish}: {n} of {total}",
  "unit.plural": { one: "One order before yours", other: "About {n} orders before yours" },
});

check("a sentence takes its values, each as often as it is named", () => {
  equal(t("unit.plain"), "Sold out");
  equal(t("unit.values", { dish: "Firni", n: 1240, total: "0418" }), "Firni is Firni: 1,240 of 0418");
});

check("a plural follows the number", () => {
  equal(t("unit.plural", { n: 1 }), "One order before yours");
  equal(t("unit.plural", { n: 0 }), "About 0 orders before yours");
  equal(t("unit.plural", { n: 1200 }), "About 1,200 orders before yours");
});

check("a value with a placeholder's name in it, or a dollar sign, is shown as it is", () => {
  equal(t("unit.values", { dish: "{n} $& $1", n: 2, total: "" }), "{n} $& $1 is {n} $& $1: 2 of ");
});

check("what is missing is seen, and breaks nothing", () => {
  equal(t("unit.unknown"), "unit.unknown");
  equal(t("unit.values", { n: 1 }), "{dish} is {dish}: 1 of {total}");
});

check("the words of all pages are loaded, and the document names its language", async () => {
  await speak("student");
  equal(t("login.button"), "Sign in");
  equal(document.documentElement.lang, lang);
});

check("an amount has its sign, and paisa where there are any", () => {
  equal(["110.00", "110.5", "0.05", "1240.00", "0.00"].map(money), ["৳110", "৳110.50", "৳0.05", "৳1,240", "৳0"]);
});

check("numbers are grouped, and fractions have two digits at most", () => {
  equal([0, 1240, 99.129].map(digits), ["0", "1,240", "99.13"]);
});

check("a time of day has two digits each, from midnight to midnight", () => {
  const noon = new Date(2026, 10, 30, 0, 5, 9);
  equal([time(noon), time(noon.toISOString()), time(noon.getTime(), { seconds: true })], ["00:05", "00:05", "00:05:09"]);
  ok(/30/.test(day(noon)) && /00:05/.test(day(noon)));
});

check("Bangla digits become Latin ones, and all else stays", () => {
  equal(latinDigits("২১০০৪১১০১ k৭F2"), "210041101 k7F2");
});

check("the wish counts before the browser, and English is left", () => {
  const known = ["en", "bn"];
  equal(chosen("bn", ["en-GB"], known), "bn");
  equal(chosen(undefined, ["fr-FR", "bn-BD", "en"], known), "bn");
  equal(chosen("fr", ["BN"], known), "bn");
  equal(chosen(undefined, [], known), "en");
  ok(languages.includes(lang));
});
