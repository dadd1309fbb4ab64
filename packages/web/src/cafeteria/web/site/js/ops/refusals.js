/** What a service refused, by the type of its problem document: its own English sentence is not shown. */

import { t } from "../words.js";

/** @typedef {{code: string, requestId: string|null}} Refusal `code`: the last part of the problem's type, or why there is none */

/** @returns {Refusal} of an answer that was no success */
export const refusalOf = ({ status, problem, requestId }) => ({
  code: status === 0 ? "no-answer" : (problem?.type?.split("/").at(-1) ?? "unforeseen"),
  requestId: requestId ?? null,
});

const REFUSALS = {
  "no-answer": "ops.refused.no-answer",
  unavailable: "ops.refused.unavailable",
  overloaded: "ops.refused.unavailable",
  unauthenticated: "ops.refused.unauthenticated",
  forbidden: "ops.refused.forbidden",
  conflict: "ops.refused.conflict",
  "not-found": "ops.refused.not-found",
  "invalid-request": "ops.refused.invalid",
  "idempotency-key-reused": "ops.refused.key-reused",
};

/** Sentences that say more than the general ones, by the section. */
export const STOCK_REFUSALS = { conflict: "ops.stock.full", "not-found": "ops.stock.unknown", "invalid-request": "ops.stock.invalid" };
export const PEOPLE_REFUSALS = { conflict: "ops.people.taken", "invalid-request": "ops.people.invalid" };
export const PERSON_REFUSALS = {
  conflict: "ops.person.conflict",
  "not-found": "ops.person.missing",
  "invalid-request": "ops.people.invalid",
};
export const DEMO_REFUSALS = {
  conflict: "ops.crowd.runs",
  "not-found": "ops.demo.not-here",
  unavailable: "ops.demo.silent",
  "no-answer": "ops.demo.no-answer",
};

/**
 * The sentence of a refusal, by the problem's type.
 * @param {Refusal} refusal
 * @param {Object<string, string>} own keys of sentences that say more here than the general ones
 */
export function refusalText({ code, requestId }, own = {}) {
  const sentence = t(own[code] ?? REFUSALS[code] ?? "ops.refused.unforeseen");
  return requestId ? t("ops.refused.with-code", { sentence, code: requestId }) : sentence;
}
