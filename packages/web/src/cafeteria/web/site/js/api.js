/**
 * Every request of the pages to the API. A request always ends in an `Answer`, whatever happens: nothing is thrown.
 */
import { hear, now } from "./clock.js";

const TIMEOUT_MS = 5_000;
let renewSession = async () => false;

/**
 * @typedef {object} Answer
 * @property {number} status the HTTP status; 0 when no answer came: whether the request arrived is then unknown
 * @property {any} data the decoded JSON of a success, else null
 * @property {{type: string, title?: string, detail?: string, request_id?: string}|null} problem the problem document of a refusal
 * @property {number|null} retryAfterS seconds of Retry-After
 * @property {string|null} requestId what to name when somebody asks for help
 * @property {string|null} etag
 * @property {number} at the server's milliseconds when the answer arrived
 */

/**
 * Send one request and wait for its answer. After a 401 the session is renewed, and the same request is sent once more.
 * @param {string} path from the root: "/v1/menu"
 * @param {object} [options]
 * @param {string} [options.method]
 * @param {object|string} [options.body] an object is sent as JSON; a string is JSON already and is sent byte for byte
 * @param {string} [options.key] the Idempotency-Key
 * @param {number} [options.timeoutMs] until the whole answer is here
 * @param {Record<string, string>} [options.headers]
 * @param {AbortSignal} [options.signal] ends the waiting: status 0
 * @param {boolean} [options.renew] false for requests that are about the session itself
 * @returns {Promise<Answer>}
 */
export async function ask(path, options = {}) {
  const answer = await send(path, options);
  const isRepeated = answer.status === 401 && options.renew !== false && (await renewSession());
  return isRepeated ? send(path, options) : answer;
}

/** Tell `ask` how a session is renewed; the session does this when it is loaded. */
export function renewBy(renew) {
  renewSession = renew;
}

/** The address of a path: on this page's own origin, or where `<meta name="canteen-api">` says. */
export function address(path) {
  return base() + path;
}

/** What every fetch to the API has: cookies go along, and nothing comes from a cache. */
export function fetchOptions() {
  return { cache: "no-store", credentials: base() ? "include" : "same-origin" };
}

function base() {
  const meta = globalThis.document?.querySelector('meta[name="canteen-api"]');
  return (meta?.content ?? "").replace(/\/+$/, "");
}

async function send(path, { method = "GET", body, key, timeoutMs = TIMEOUT_MS, headers = {}, signal }) {
  const waiting = new AbortController();
  const stop = () => waiting.abort();
  const timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    const request = { method, headers: requestHeaders(headers, body, key), body: encoded(body), signal: waiting.signal };
    return await read(await fetch(address(path), { ...fetchOptions(), ...request }));
  } catch {
    return { status: 0, data: null, problem: null, retryAfterS: null, requestId: null, etag: null, at: now() };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function requestHeaders(headers, body, key) {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  const once = key ? { "Idempotency-Key": key } : {};
  return { Accept: "application/json", ...json, ...once, ...headers };
}

function encoded(body) {
  return body === undefined || typeof body === "string" ? body : JSON.stringify(body);
}

async function read(response) {
  const of = (name) => response.headers.get(name);
  hear(of("Date"));
  const document = decoded(await response.text(), of("Content-Type") ?? "");
  const problem = response.ok ? null : document;
  return {
    status: response.status,
    data: response.ok ? document : null,
    problem,
    retryAfterS: seconds(of("Retry-After")),
    requestId: of("X-Request-Id") ?? problem?.request_id ?? null,
    etag: of("ETag"),
    at: now(),
  };
}

/** The JSON of an answer. A success that is no JSON throws, so that a stranger's page never passes for an answer. */
function decoded(text, contentType) {
  if (!text) return null;
  if (/^application\/(problem\+)?json\b/.test(contentType)) return JSON.parse(text);
  throw new TypeError(`no JSON: ${contentType}`);
}

function seconds(retryAfter) {
  const parsed = Number.parseInt(retryAfter ?? "", 10);
  return Number.isNaN(parsed) ? null : parsed;
}
