// The checks of one unit: what a unit registers with check() runs in its order, each on its own.
const registered = [];

/** Register a check: `run` may be async, and fails by throwing. */
export function check(name, run) {
  registered.push({name, run});
}

/** Run all registered checks; returns [[name, error text or null], …]. */
export async function results() {
  const outcomes = [];
  for (const {name, run} of registered) {
    outcomes.push([name, await outcomeOf(run)]);
  }
  return outcomes;
}

async function outcomeOf(run) {
  try {
    await run();
    return null;
  } catch (error) {
    return String(error?.stack ?? error);
  }
}

/** Fail with the text unless the value is truthy. */
export function ok(value, text = "not true") {
  if (!value) {
    throw new Error(text);
  }
}

/** Fail unless both are equal, deeply: order of keys does not count, undefined members do not exist. */
export function equal(actual, expected, text = "not equal") {
  const [one, other] = [canonical(actual), canonical(expected)];
  if (one !== other) {
    throw new Error(`${text}\n  actual:   ${one}\n  expected: ${other}`);
  }
}

/** Fail unless `run` throws, or rejects, with a message that the pattern matches; await it for an async `run`. */
export function throws(run, pattern = /./) {
  let outcome;
  try {
    outcome = run();
  } catch (error) {
    return matches(error, pattern);
  }
  if (outcome instanceof Promise) {
    return outcome.then(() => ok(false, "did not reject"), (error) => matches(error, pattern));
  }
  return ok(false, "did not throw");
}

/** Wait until `condition` returns something truthy, and return it. Fails after `ms`. */
export async function until(condition, ms = 2000) {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    ok(performance.now() < deadline, `not true within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function matches(error, pattern) {
  ok(pattern.test(String(error?.message ?? error)), `threw something else: ${error}`);
}

function canonical(value) {
  return JSON.stringify(value, (_, part) => {
    if (part instanceof Map) {
      return {map: [...part]};
    }
    if (part instanceof Set) {
      return {set: [...part]};
    }
    if (part instanceof Uint8Array) {
      return {bytes: [...part]};
    }
    if (part && typeof part === "object" && !Array.isArray(part)) {
      return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
    }
    return Number.isNaN(part) || part === Infinity || part === -Infinity ? {number: String(part)} : part;
  }) ?? "undefined";
}
