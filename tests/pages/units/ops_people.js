import { check, equal } from "/units/check.js";
import { afterFound, asking, closed, emptyPeople, opened, query, withAccount, withPerson, wrongFields } from "/js/ops/people_model.js";

const account = { student_id: "210041101", role: "student", full_name: "Student 101", disabled: false, created_at: "2026-11-01T10:00:00Z" };
const page = (items, next = null) => ({ status: 200, data: { items, next_cursor: next } });

check("a search sends what is set, and nothing else", () => {
  equal(query({ search: "  ", role: "", disabled: "" }), "");
  equal(query({ search: " 2100 ", role: "kitchen", disabled: "true" }, "c 1"), "search=2100&role=kitchen&disabled=true&cursor=c+1");
});

check("the answer to an earlier search is dropped", () => {
  const first = asking(emptyPeople(), { search: "2" });
  const second = asking(first, { search: "21" });
  equal(afterFound(second, first.found.asked, page([account]), false).found.items, []);
  equal(afterFound(second, second.found.asked, page([account]), false).found.items, [account]);
});

check("more accounts come below those that are there", () => {
  const start = emptyPeople();
  const one = afterFound(start, start.found.asked, page([account], "next"), false);
  const two = afterFound(one, start.found.asked, page([{ ...account, student_id: "2" }]), true);
  equal([two.found.items.map((each) => each.student_id), two.found.cursor], [["210041101", "2"], null]);
});

check("an answer for a person who is not shown any more changes nothing", () => {
  const state = opened(emptyPeople(), "2");
  equal(withPerson(state, "210041101", { oneTime: { password: "k7mp" } }), state);
  equal(withPerson(closed(state), "2", { oneTime: { password: "k7mp" } }).person, null);
});

check("a one-time password goes with the person it was made for", () => {
  const state = withPerson(opened(emptyPeople(), "1"), "1", { oneTime: { password: "k7mp" } });
  equal(opened(state, "2").person.oneTime, null);
});

check("a changed account is changed in the list, too", () => {
  const found = afterFound(emptyPeople(), emptyPeople().found.asked, page([account]), false);
  const listed = { ...emptyPeople(), found: { ...found.found, items: [account] } };
  const after = withAccount(opened(listed, "210041101"), { ...account, disabled: true });
  equal([after.found.items[0].disabled, after.person.account.disabled], [true, true]);
});

check("an id has letters, digits and hyphens; a name may be left out", () => {
  equal(wrongFields({ studentId: "kitchen-2", name: "" }), []);
  equal(wrongFields({ studentId: "two words", name: "x".repeat(121) }), ["studentId", "name"]);
});
