"""What holds the promise, each by a name, so that a test can take one away; and what may go wrong, and how often."""

from random import Random

import msgspec


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """All stand in the product. Without any single one of them the model finds a broken promise."""

    idempotency_row: bool = True
    """Receive: the key's row decides whether the order exists."""
    pending_only: bool = True
    """Settle: `WHERE status = 'PENDING'`."""
    unanswered_stay_pending: bool = True
    """Reserve: an order whose decision is missing in the reply for its batch is undecided, not refused."""
    decision_row: bool = True
    """Decide: one decision for an order, by its primary key."""
    item_versions: bool = True
    """Decide: an item that moved since it was read is read again."""
    released_once: bool = True
    """Stock gives back what has no `released_at`."""
    tombstone: bool = True
    """A release of an order that stock never saw is a decision against it."""
    expiry: bool = True
    """Stock looks at how old the order is by the clock of the gateway's database."""
    outbox_in_commit: bool = True
    """A change and its message are one commit."""
    id_over_exact_rows: bool = True
    """Relay: a message's id is made of the ids of exactly its rows."""
    row_ids_are_unique: bool = True
    """Relay: an outbox row's id is its own in all schemas, as its number is not."""
    ack_after_commit: bool = True
    """Enqueue and project acknowledge what they have committed."""
    ack_after_last_commit: bool = True
    """Enqueue and project: of the commits that hold a message's items the last one counts."""
    neighbours_are_handled: bool = True
    """Enqueue, record and project: an item that nobody can read is a dead letter by itself."""
    one_ticket: bool = True
    """Enqueue: UNIQUE(order_id)."""
    moves_from_state: bool = True
    """Cook: a ticket moves only from the state in which it was read."""
    newer_only: bool = True
    """Project: a projection takes greater versions only."""
    logged_once: bool = True
    """Record: UNIQUE(order_id, version)."""
    confirms_what_it_read: bool = True
    """Reconcile writes down what it found only of an order that has not moved since it was read."""
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
    """How often, at most. A schedule draws for each kind whether it happens never, sometimes or this often."""

    crash: float = 0.06
    """A process is killed and started anew."""
    wipe: float = 0.02
    """The bus loses a whole stream, with all that it had acknowledged."""
    replay: float = 0.008
    """A consumer is reset: all of its history is delivered again."""
    timed_out: float = 0.02
    """Who asked waits no longer, and the question or its answer is still on its way."""
    pause: float = 0.06
    """A second or more in which nothing else happens."""
    long_pause: float = 0.004
    """A minute in which nothing else happens: orders expire."""
    held: float = 0.06
    """A step waits until everybody else has come to rest: a stopped process, a lock, a message on a slow path."""
    busy: float = 0.8
    """A commit of others is running, and what comes meanwhile is one batch."""
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
    """Of these one is held up more often than not, wherever anything is held up."""
    always: bool = False
    """Every schedule has all of this, at these very rates."""
    lock_lost: float = 0.01
    """A relay's lock is free while it still carries."""
    commit: float = 0.08
    """The database does not answer a commit: it did not happen, it did, or it will."""
    lost: float = 0.08
    """A message, a reply or an answer to a student does not arrive."""
    doubled: float = 0.08
    """A message arrives twice."""
    unstored: float = 0.15
    """JetStream does not acknowledge a message that a relay publishes: it has it, or not."""
    undecided: float = 0.1
    """Stock leaves an order out of its reply, decided or not."""
    unreadable: float = 0.01
    """A row that nobody can read lies in an outbox, between those that everybody needs."""
    unacked: float = 0.15
    """The acknowledgement of a consumer is lost, and what it has handled is delivered again."""
    cut: float = 0.1
    """A student's stream of events ends in the middle."""

    def drawn(self, chance: Random) -> "Faults":
        """Few schedules know all kinds of trouble: what always happens together hides what one alone would show."""
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
