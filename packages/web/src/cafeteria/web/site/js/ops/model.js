/**
 * What the services say of themselves, as rows of the health grid. Pure: answers and times go in, rows and sentences come out.
 *
 * A row never keeps an old picture as if it were new: figures belong to the answer of `at`, and a service that is away has none.
 */

export const SERVICES = ["gateway", "identity", "stock", "kitchen", "notification"];
const ALERTING = ["gateway"]; // students wait for its answers alone
const REPLICA_MEMORY_MS = 30_000; // two replicas that answer in turn are both seen well within it

/**
 * @typedef {"loading"|"ready"|"not-ready"|"down"|"silent"} Kind down: the edge could not reach it; silent: no answer in time
 * @typedef {"in"|"out"|"forbidden"|null} Access what the service says of the sign-in
 * @typedef {{mean_ms: number|null, since: string|null}} Slow the service's own judgement; it holds while the service is silent
 * @typedef {{kind: Kind, since: number|null, at: number|null, pulse: object|null, slow: Slow|null, access: Access,
 *   status: number|null, replicas: Object<string, number>}} Row
 *   `since`: ms at which this page saw the kind begin, null if it was so from the start; `at`: ms of the last answer
 * @typedef {{rows: Object<string, Row>, pausedAt: number|null, hasTable: boolean}} Now
 */

const EMPTY_ROW = { kind: "loading", since: null, at: null, pulse: null, slow: null, access: null, status: null, replicas: {} };

/** @returns {Now} */
export const emptyNow = () => ({
  rows: Object.fromEntries(SERVICES.map((name) => [name, EMPTY_ROW])),
  pausedAt: null,
  hasTable: false,
});

/** @returns {Now} with the answer of `GET /v1/ops/<service>`, which came at `now` (ms) */
export function afterPulse(state, service, answer, now) {
  return { ...state, rows: { ...state.rows, [service]: afterAnswer(state.rows[service], answer, now) } };
}

function afterAnswer(row, answer, now) {
  const kind = kindOf(answer);
  const pulse = answer.status === 200 ? answer.data : null;
  return {
    kind,
    since: since(row, kind, now),
    at: answer.status === 0 ? row.at : now,
    pulse,
    slow: kind === "silent" ? row.slow : slowOf(pulse),
    access: accessOf(answer.status),
    status: answer.status,
    replicas: pulse ? seen(row.replicas, pulse.replica, now) : row.replicas,
  };
}

function since(row, kind, now) {
  if (row.kind === kind) return row.since;
  return row.kind === "loading" ? null : now;
}

/** A 503 may be the edge's, which reaches nobody, or the service's own, which then runs. A stranger is told nothing. */
function kindOf({ status, data, problem }) {
  if (status === 0) return "silent";
  if (status === 401 || status === 403) return "loading";
  if (status > 500 && problem?.source === "edge") return "down";
  return status === 200 && data?.health?.status === "ok" ? "ready" : "not-ready";
}

function slowOf(pulse) {
  return pulse?.is_slow ? { mean_ms: pulse.mean_ms, since: pulse.slow_since } : null;
}

function accessOf(status) {
  if (status === 200) return "in";
  return { 401: "out", 403: "forbidden" }[status] ?? null;
}

function seen(replicas, replica, now) {
  const recent = Object.entries(replicas).filter(([, at]) => now - at < REPLICA_MEMORY_MS);
  return Object.fromEntries([...recent, [replica, now]]);
}

/**
 * Whether this page may show anything: one service that accepts the sign-in is enough, so that an operator sees the
 * others fall. `nobody`: no service answers at all.
 * @returns {"loading"|"in"|"out"|"forbidden"|"nobody"}
 */
export function access({ rows }) {
  const all = Object.values(rows);
  const first = ["in", "forbidden", "out"].find((wanted) => all.some((row) => row.access === wanted));
  if (first) return first;
  return all.every(isAway) ? "nobody" : "loading";
}

const isAway = (row) => row.kind === "down" || row.kind === "silent";

/** The rows' state is shown again from the start, as after another person's sign-in. */
export const forgotten = (state) => ({ ...emptyNow(), hasTable: state.hasTable });

/** The time of the newest answer of any service, in ms; null before the first. */
export function newest({ rows }) {
  const times = Object.values(rows)
    .map((row) => row.at)
    .filter((at) => at !== null);
  return times.length ? Math.max(...times) : null;
}

/** Services that raise the alert: by their own judgement they answer slowly. One slow login of identity is none. */
export const slow = ({ rows }) => ALERTING.filter((name) => rows[name].slow);

/** Services that are not ready, in the grid's order. */
export const troubled = ({ rows }) => SERVICES.filter((name) => !["ready", "loading"].includes(rows[name].kind));

/** @returns {{name: string, isOk: boolean, reason: string}[]} what a service depends on; the reason is empty if it is ok */
export function dependencies(row) {
  return Object.entries(row.pulse?.health?.dependencies ?? {}).map(([name, state]) => ({
    name,
    isOk: state === "ok",
    reason: state === "ok" ? "" : state.replace(/^unavailable: /, ""),
  }));
}

/** @returns {{name: string, services: string[]}[]} what is away, and for which services: the cause of several rows at once */
export function missing({ rows }) {
  const found = new Map();
  for (const service of SERVICES) {
    for (const { name, isOk } of dependencies(rows[service])) if (!isOk) found.set(name, [...(found.get(name) ?? []), service]);
  }
  return [...found].map(([name, services]) => ({ name, services }));
}

const GREATEST = new Set(["outbox_oldest_s", "reader_lag"]); // an age or a lag of one is no age of all together

/**
 * A figure over all services that answer: the sum, or the greatest of ages and lags. Null where no service has it.
 * @returns {number|null}
 */
export function figure({ rows }, name) {
  const values = SERVICES.map((service) => rows[service].pulse?.figures?.[name]).filter((value) => typeof value === "number");
  if (!values.length) return null;
  return GREATEST.has(name) ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
}

/** One value for each second of the gateway's last minute, oldest first; null for a second without it. */
export const series = ({ rows }, name) => (rows.gateway.pulse?.seconds ?? []).map((second) => second[name] ?? second.figures[name] ?? null);

/** @returns {string[]} names of the replicas seen lately; several mean that each answer shows one of them */
export const replicas = (row) => Object.keys(row.replicas).sort();

/**
 * What changed between two pictures and is worth saying aloud, each once.
 * @returns {{what: "slow"|"normal"|"down"|"silent"|"not-ready"|"ready", service: string}[]}
 */
export function changes(before, after) {
  return SERVICES.flatMap((service) => [...stateChange(before, after, service), ...speedChange(before, after, service)]);
}

function stateChange(before, after, service) {
  const [was, is] = [before.rows[service].kind, after.rows[service].kind];
  if (was === is || is === "loading" || (was === "loading" && is === "ready")) return [];
  return [{ what: is, service }];
}

function speedChange(before, after, service) {
  const [was, is] = [before, after].map((state) => slow(state).includes(service));
  if (was === is) return [];
  if (is) return [{ what: "slow", service }];
  return after.rows[service].pulse ? [{ what: "normal", service }] : [];
}
