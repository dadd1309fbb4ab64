"""The guards that keep the protocol's promises, named so that a test can switch one off; and the fault rates."""

from random import Random

import msgspec


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """Switches for guards that the product has. Without any single one of them the model finds a broken promise."""

    idempotency_row: bool = True
    """Receive: the key's row decides whether the order exists."""
    pending_only: bool = True
    """Settle: `WHERE status = 'PENDING'`."""
    unanswered_stay_pending: bool = True
    """Reserve: an order whose decision is missing in the reply for its batch is undecided, not refused."""
    decision_row: bool = True
    """Decide: one decision for an order, by its primary key."""
    item_versions: bool = True
    """Decide: an item that changed since it was read is read again."""
    released_once: bool = True
    """Stock returns the portions of a reservation only while it has no `released_at`."""
    tombstone: bool = True
    """A release of an order that stock never saw is a decision against it."""
    expiry: bool = True
    """Stock judges an order's age by the clock of the gateway's database."""
    outbox_in_commit: bool = True
    """A change and its message are one commit."""
    id_over_exact_rows: bool = True
    """Relay: a message's id is made of the ids of exactly its rows."""
    row_ids_are_unique: bool = True
    """Relay: an outbox row's id is its own in all schemas, as its number is not."""
    ack_after_commit: bool = True
    """Enqueue and project acknowledge a message only after they have committed it."""
    ack_after_last_commit: bool = True
    """Enqueue and project acknowledge after the last of the commits that hold a message's items."""
    neighbours_are_handled: bool = True
    """Enqueue, record and project: an unreadable item becomes a dead letter without its neighbours."""
    one_ticket: bool = True
    """Enqueue: UNIQUE(order_id)."""
    moves_from_state: bool = True
    """Cook: a ticket moves only from the state in which it was read."""
    newer_only: bool = True
    """Project: a projection takes greater versions only."""
    logged_once: bool = True
    """Record: UNIQUE(order_id, version)."""
    confirms_what_it_read: bool = True
    """Reconcile stores a finding only for an order that has not changed since it was read."""
    ask_again: bool = True
    """Retry pending."""
    end_to_end: bool = True
    """Reconcile delivery, at the gateway and at the kitchen."""
    release: bool = True
    """Release cancelled."""

    def without(self, *names: str) -> "Guards":
        return msgspec.structs.replace(self, **dict.fromkeys(names, False))


ALL_GUARDS = Guards()


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate of each fault. A schedule draws for each kind: never, sometimes or this often."""

    crash: float = 0.06
    """A process is killed and started again."""
    wipe: float = 0.02
    """The bus loses a whole stream, with all that it had acknowledged."""
    replay: float = 0.008
    """A consumer is reset: the bus delivers all of its history again."""
    timed_out: float = 0.02
    """A request times out while it or its reply is still in transit."""
    pause: float = 0.06
    """A second or more in which nothing else happens."""
    long_pause: float = 0.004
    """A minute in which nothing else happens: orders expire."""
    held: float = 0.06
    """A step waits until everything else is quiescent: a stopped process, a lock, a message on a slow path."""
    busy: float = 0.8
    """Another commit is running, and what arrives meanwhile forms one batch."""
    slow_steps: tuple[str, ...] = (
        "decide",
        "settle",
        "settle",
        "relay publishes",
        "enqueue",
        "enqueue",
        "enqueue, the rest",
        "cook",
        "record",
        "project",
        "",
    )
    """A schedule that delays steps chooses one of these and delays it more often than not."""
    always: bool = False
    """Every schedule has all of these faults, at exactly these rates."""
    lease_lost: float = 0.01
    """A relay's lease ends while the relay still publishes."""
    commit: float = 0.08
    """The database does not answer a commit: it did not happen, it did, or it will."""
    lost: float = 0.08
    """A message, a reply or an answer to a student does not arrive."""
    doubled: float = 0.08
    """A message arrives twice."""
    unstored: float = 0.15
    """JetStream does not acknowledge a message that a relay publishes: the message is stored or not."""
    undecided: float = 0.1
    """Stock leaves an order out of its reply, decided or not."""
    unreadable: float = 0.01
    """An outbox holds an unreadable row between valid ones."""
    unacked: float = 0.15
    """A consumer's acknowledgement is lost, and the bus delivers the handled message again."""
    cut: float = 0.1
    """A student's stream of events ends in the middle."""

    def drawn(self, chance: Random) -> "Faults":
        """Draw one schedule's rates. Few schedules have all kinds: faults that coincide hide each other's effects."""
        if self.always:
            return self
        return Faults(
            **{name: getattr(self, name) * _SHARES[int(chance.random() * len(_SHARES))] for name in _RATES},
            slow_steps=self.slow_steps,
        )

    def without(self, *names: str) -> "Faults":
        return msgspec.structs.replace(self, **dict.fromkeys(names, 0.0))


_SHARES = (0.0, 0.4, 1.0)
_RATES = tuple(name for name in Faults.__struct_fields__ if name not in {"slow_steps", "always"})
NO_FAULTS = Faults().without(*_RATES)

ALL_FAULTS = Faults()
