/** Every request to the API. It always ends in an `Answer`: nothing is thrown. */
import { hear, now } from "./clock.js";

const TIMEOUT_MS = 5_000;
let renewSession = async () => false;

/** Send a `Question` and give its `Answer`. After a 401 the session is renewed, and the same request is sent once more. */
export async function ask(path, options = {}) {
  const answer = await send(path, options);
  const isRepeated = answer.status === 401 && options.renew !== false && (await renewSession());
  return isRepeated ? send(path, options) : answer;
}

/** The session tells how it is renewed. */
export function renewBy(renew) {
  renewSession = renew;
}

/** On this page's own origin, or where `<meta name="canteen-api">` says. */
export function address(path) {
  return base() + path;
}

/** Cookies go along, and nothing comes from a cache. */
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

/** What is no JSON throws: a stranger's page is no answer. */
function decoded(text, contentType) {
  if (!text) return null;
  if (/^application\/(problem\+)?json\b/.test(contentType)) return JSON.parse(text);
  throw new TypeError(`no JSON: ${contentType}`);
}

function seconds(retryAfter) {
  const parsed = Number.parseInt(retryAfter ?? "", 10);
  return Number.isNaN(parsed) ? null : parsed;
}
