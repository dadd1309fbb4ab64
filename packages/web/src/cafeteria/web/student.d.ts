/** What the modules of the student page give each other. Editors read it; no browser loads it. */

/** One dish of a basket. */
interface Line {
  item_id: string;
  name: string;
  /** As the menu had it: "110.00". */
  unit_price: string;
  quantity: number;
}

/** `trouble`: what is wrong by the newest menu; sold out, no longer on the menu, or fewer left than wanted. */
interface JudgedLine extends Line {
  trouble: "gone" | "off" | "fewer" | null;
  available: number | null;
}

interface MenuItem {
  item_id: string;
  name: string;
  unit_price: string;
  /** Null while the gateway does not know. */
  available: number | null;
}

/** What survives a reload, from before the first request to the final answer. */
interface OrderRecord {
  key: string;
  /** The bytes of the request, the same each time. */
  body: string;
  lines: Line[];
  /** The server's milliseconds of the press. */
  sent_at: number;
  tries: number;
  order_id: string | null;
  goal: "order" | "cancel";
}

/** The order button. */
interface Machine {
  name:
    | "empty" | "ready" | "signin" | "sending" | "waiting" | "unsure" | "parked"
    | "received" | "accepted" | "refused" | "broken" | "lapsed";
  lines: Line[];
  key: string | null;
  body: string | null;
  /** The lines of the request; `lines` may already be the next basket. */
  sent: Line[];
  goal: "order" | "cancel";
  tries: number;
  sentAt: number | null;
  /** The record exists. */
  isStored: boolean;
  /** A request of this key may have made an order. */
  isDoubtful: boolean;
  /** The server's milliseconds of the next request. */
  until: number | null;
  why: "busy" | "limit" | "session" | "storage" | null;
  problem: Answer["problem"] | null;
  orderId: string | null;
}

/** What has to be done after a step of the machine. */
type Effect =
  | { do: "store"; record: OrderRecord }
  | { do: "post"; key: string; body: string }
  | { do: "forget" }
  | { do: "follow"; order: object }
  | { do: "cancel"; orderId: string };

type Status = "PENDING" | "STOCK_VERIFIED" | "IN_KITCHEN" | "READY" | "COLLECTED" | "REJECTED" | "CANCELLED";

interface Order {
  id: string;
  status: Status;
  version: number;
  reason: string | null;
  /** When it entered each stage, as ISO text. */
  times: Partial<Record<Status, string>>;
  created_at: string | null;
  lines: object[];
  total: string | null;
  /** The version of the answer that brought lines and total; 0 before any. */
  linesVersion: number;
}

/** How far the cancelling of an order is; `until`: the server's milliseconds of the next try. */
interface Cancel {
  step: "asking" | "undecided" | "undecided-over" | "silent" | "late" | "failed";
  until?: number;
  requestId?: string;
}

/** What the page says about an order that is not placed yet, and what a student can do then. */
interface Notice {
  tone: "info" | "warn" | "bad";
  sentence: string;
  choices: { label: string; event: object; isMain?: boolean }[];
}
