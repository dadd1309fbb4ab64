/** What the shared modules of the pages give each other. Editors read it; no browser loads it. */

/** The end of a request, whatever happened. */
interface Answer {
  /** The HTTP status; 0 when no answer came: whether the request arrived is then unknown. */
  status: number;
  /** The decoded JSON of a success, else null. */
  data: any;
  /** The problem document of a refusal. */
  problem: { type: string; title?: string; detail?: string; request_id?: string; errors?: string[] } | null;
  /** Seconds of Retry-After. */
  retryAfterS: number | null;
  /** What to name when somebody asks for help. */
  requestId: string | null;
  etag: string | null;
  /** The server's milliseconds when the answer arrived. */
  at: number;
}

interface Question {
  method?: string;
  /** An object is sent as JSON; a string is JSON already and is sent byte for byte. */
  body?: object | string;
  /** The Idempotency-Key. */
  key?: string;
  /** How long to wait until the whole answer is here. */
  timeoutMs?: number;
  headers?: Record<string, string>;
  /** Ends the waiting: status 0. */
  signal?: AbortSignal;
  /** False for requests that are about the session itself. */
  renew?: boolean;
}

interface Who {
  student_id: string;
  role: "student" | "kitchen" | "operator";
  full_name: string | null;
  expires_in?: number;
}

interface SessionChange {
  who: Who | null;
  /** expired: the session ended by itself or from elsewhere; other-person: `other` has signed in in another tab. */
  reason: "started" | "signed-in" | "signed-out" | "expired" | "other-person";
  other: string | null;
}

interface StreamEvent {
  /** The last id that the stream has named, null before the first. */
  id: string | null;
  type: string;
  /** Null for a block that only names an id. */
  data: string | null;
}

interface Link {
  /** refused: signed out, and not tried again. */
  state: "connecting" | "live" | "reconnecting" | "refused" | "closed";
  /** Attempts in a row that gave no stream. */
  failures: number;
  /** The server's milliseconds of the last byte. */
  at: number;
}

interface StreamOptions {
  path: string;
  /** Resume behind this event; without it the server sends what is alive. */
  lastId?: string;
  onEvent: (event: StreamEvent) => void;
  onState?: (link: Link) => void;
  clock?: { now(): number; after(ms: number, fn: () => void): () => void; random(): number };
  open?: typeof fetch;
  /** Renews the session. */
  renew?: () => Promise<boolean>;
  /** Asked after a renewal that failed. */
  isSignedIn?: () => boolean;
}

interface ShareOptions {
  /** An event may come again after a change of leader. */
  onEvent: (event: StreamEvent) => void;
  onState?: (link: Link) => void;
  path?: string;
  /** While true a hidden tab streams on: an order is under way. */
  isNeeded?: () => boolean;
  /** Whose stream it is: tabs of different people share nothing. */
  owner?: string;
  open?: (options: StreamOptions) => { close(): void };
  beatMs?: number;
  /** After this long a follower takes the lock from a leader that says nothing. */
  silentMs?: number;
}

interface LoginState {
  /** choose: a one-time password needs a new one; unusable: the new one cannot be used; other: somebody else has signed in. */
  status: "idle" | "sending" | "wrong" | "invalid" | "too-many" | "away" | "choose" | "unusable" | "expired" | "other" | "broken";
  /** The server's milliseconds at which it is possible again (too-many) or tried again (away). */
  untilMs: number;
  studentId: string;
  /** The one-time password, until it is replaced. */
  oneTime: string;
  /** The password is readable. */
  isShown: boolean;
  /** Who has signed in in another tab. */
  other: string | null;
  requestId: string | null;
}

interface LoginOptions {
  state: LoginState;
  /** Takes the events of `loginModel.act`. */
  act: (event: object) => void;
  t: (key: string, values?: object) => string;
  /** The heading: what signing in is for. */
  title: string;
  /** A line below it: the accounts of a demo. */
  hint?: string;
  /** What an id is called here. */
  idLabel?: string;
  /** The keyboard of a phone: text where ids have letters. */
  inputMode?: "numeric" | "text";
}

interface AccountState {
  list: "none" | "loading" | "failed" | "ready";
  /** The newest first. */
  devices: { id: string; last_used_at: string; is_current: boolean; user_agent: string | null }[];
  /** Ids whose end is being asked for. */
  ending: string[];
  password: "idle" | "sending" | "done" | "wrong" | "unusable" | "too-many" | "away";
  /** The server's milliseconds until which no further try is allowed. */
  untilMs: number;
  leaving: "idle" | "sending" | "away";
}

interface PageOptions<S, E> {
  /** One element; or several by name, and the view then gives a template for each name. */
  root: Element | Record<string, Element>;
  /** Pure. */
  view: (state: S, act: (event: E) => void) => unknown;
  init: S;
  /** Pure. */
  act: (state: S, event: E) => S;
  /** The effects of an event, after each `act`; also while the page is hidden. */
  changed?: (state: S, before: S, event: E) => void;
}

interface HeaderOptions {
  /** Of the page, beside the mark. */
  name: string;
  /** Where the name leads. */
  home?: string;
  sections?: { href: string; label: string; isCurrent: boolean }[];
  /** Of the sections, for screen readers. */
  label?: string;
  /** A template: the connection, `linkState(…)` or the page's own. */
  state?: unknown;
  /** A template: `accountView(…)`. */
  account?: unknown;
}
