"""The invariants I1 to I10, as pure functions of the stored data and of the observed history.

Each yields a sentence for every violation; no sentence means that it holds. They apply to a quiescent system: all
faults healed, every order decided, every message delivered.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from uuid import UUID

from cafeteria.chassis.messaging.dead_letters import WHOLE_MESSAGE
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.faultkit.history import ACCEPTED, CREATED, OK, History
from cafeteria.faultkit.oracle import answers_agree_with_stored_data
from cafeteria.faultkit.snapshot import Snapshot, StoredDecision, StoredLetter, StoredOrder
from cafeteria.faultkit.stored_messages import POISON_ID, is_readable, items_of

Check = Callable[[Snapshot, History], Iterator[str]]

VERIFIED = frozenset({"STOCK_VERIFIED", "IN_KITCHEN", "READY", "COLLECTED"})
PATHS = {
    "QUEUED": (),
    "IN_KITCHEN": ("IN_KITCHEN",),
    "READY": ("IN_KITCHEN", "READY"),
    "COLLECTED": ("IN_KITCHEN", "READY", "COLLECTED"),
    "CANCELLED": ("CANCELLED",),
}
NEXT_STATUSES = {
    "PENDING": {"STOCK_VERIFIED", "REJECTED"},
    "STOCK_VERIFIED": {"IN_KITCHEN", "CANCELLED"},
    "IN_KITCHEN": {"READY"},
    "READY": {"COLLECTED"},
}


def ledger_balances(stored: Snapshot, _: History) -> Iterator[str]:
    """I1: no quantity is negative, and what came in less what is left is what was deducted."""
    for item in stored.items:
        if item.quantity < 0:
            yield f"{item.name} has {item.quantity} portions left"
        if item.restocked - item.quantity != item.deducted:
            yield (
                f"{item.name}: {item.restocked} came in and {item.quantity} are left, "
                f"but {item.deducted} were deducted"
            )


def orders_took_their_units(stored: Snapshot, _: History) -> Iterator[str]:
    """I2: an order has taken its units if it was verified and not cancelled, and none otherwise."""
    for order in stored.orders.values():
        expected = order.lines if order.status in VERIFIED else {}
        taken = {item: units for item, units in stored.taken.get(order.order_id, {}).items() if units}
        if taken != expected:
            yield f"order {order.order_id} is {order.status} and has taken {taken}, not {expected}"
        yield from _wrong_decision(order, stored.decisions.get(order.order_id))
    for order_id, taken in stored.taken.items():
        if order_id not in stored.orders and any(taken.values()):
            yield f"order {order_id} has taken {taken} and does not exist"
    for order_id in stored.decisions.keys() - stored.orders.keys():
        yield f"stock decided on order {order_id}, which does not exist"


def _wrong_decision(order: StoredOrder, decision: StoredDecision | None) -> Iterator[str]:
    expected = {"REJECTED": ("REJECTED",), "CANCELLED": ("RESERVED", True)}.get(
        order.status, ("RESERVED", False)
    )
    if order.status == "PENDING":
        return
    decided = () if decision is None else (decision.decision, decision.released)[: len(expected)]
    if decided != expected:
        yield f"order {order.order_id} is {order.status} and stock's decision is {decided}"


def orders_reached_their_end(stored: Snapshot, seen: History) -> Iterator[str]:
    """I3: what was accepted is cooked, or cancelled by its student or the kitchen; nothing is left undecided."""
    cancelled = seen.cancel_wishes()
    for order in stored.orders.values():
        if order.status not in {"READY", "COLLECTED", "REJECTED", "CANCELLED"}:
            yield f"order {order.order_id} is still {order.status}"
        was_refused = order.reason == RejectionReason.KITCHEN
        if order.status == "CANCELLED" and order.order_id not in cancelled and not was_refused:
            yield f"order {order.order_id} is CANCELLED and its student never cancelled it"
        if order.status == "CANCELLED" and not order.released:
            yield f"order {order.order_id} is CANCELLED and was never released"
    for exchange in seen.orders():
        if exchange.status in {CREATED, ACCEPTED} and exchange.shown_id not in stored.orders:
            yield f"student {exchange.student_id} was answered {exchange.status} for an order that does not exist"


def kitchen_has_one_ticket(stored: Snapshot, _: History) -> Iterator[str]:
    """I5: one ticket for each verified order, none for others, and both sides agree on its status."""
    tickets = Counter(ticket.order_id for ticket in stored.tickets)
    statuses = {ticket.order_id: ticket.status for ticket in stored.tickets}
    for order_id, count in tickets.items():
        if count > 1:
            yield f"order {order_id} has {count} tickets"
        order = stored.orders.get(order_id)
        if order is None or order.status in {"PENDING", "REJECTED"}:
            yield f"the kitchen has a ticket for order {order_id}, which is {order and order.status}"
        elif order.status != statuses[order_id] and order.status != "STOCK_VERIFIED":
            yield f"order {order_id} is {order.status} and its ticket {statuses[order_id]}"
    for order in stored.orders.values():
        if order.status in VERIFIED and order.order_id not in tickets:
            yield f"order {order.order_id} is {order.status} and has no ticket"


def histories_are_paths(stored: Snapshot, _: History) -> Iterator[str]:
    """I6: each history is a path of the state machine, without repeats; so is each delivery log."""
    for ticket in stored.tickets:
        if ticket.history != PATHS[ticket.status]:
            yield f"the ticket of order {ticket.order_id} is {ticket.status} by {ticket.history}"
    logs: defaultdict[UUID, list[tuple[int, int, str]]] = defaultdict(list)
    for row in stored.notifications:
        logs[row.order_id].append((row.position, row.version, row.status))
    for order_id, log in logs.items():
        statuses = [status for _, _, status in sorted(log)]
        if not _is_path(statuses):
            yield f"the log of order {order_id} has {statuses}"
    for order in stored.orders.values():
        versions = {version for _, version, _ in logs[order.order_id]}
        if versions != set(range(1, order.version + 1)):
            yield f"order {order.order_id} is at version {order.version} and its log has {sorted(versions)}"


def one_order_per_key(stored: Snapshot, seen: History) -> Iterator[str]:
    """I7: one order for a student's key, and every 201 under it has the same bytes."""
    bodies: defaultdict[tuple[str, str | None], set[bytes]] = defaultdict(set)
    for exchange in seen.orders():
        if exchange.status == CREATED:
            bodies[exchange.student_id, exchange.key].add(exchange.body)
    for (student_id, key), different in bodies.items():
        if len(different) > 1:
            yield f"student {student_id} got {len(different)} different answers under key {key}"
    keys = Counter(order.key for order in stored.orders.values())
    for key, count in keys.items():
        if key is None or count > 1:
            yield f"{count} orders are stored under key {key}"
    sent = {f"{exchange.student_id}:{exchange.key}" for exchange in seen.orders()}
    for key in keys:
        if key is not None and key not in sent:
            yield f"an order is stored under key {key}, which no student sent"


def streams_showed_everything_once(stored: Snapshot, seen: History) -> Iterator[str]:
    """I8: each client, over all its connections, saw every status of its orders once and in order."""
    shown: defaultdict[tuple[str, int], defaultdict[UUID, list[int]]] = defaultdict(lambda: defaultdict(list))
    for observed in seen.observed_statuses:
        shown[observed.student_id, observed.client][observed.order_id].append(observed.version)
    for (student_id, client), orders in shown.items():
        for order_id, versions in orders.items():
            order = stored.orders.get(order_id)
            expected = list(range(1, (order.version if order else 0) + 1))
            if versions != expected:
                yield f"client {client} of {student_id} saw versions {versions} of order {order_id}, not {expected}"
    followed = {(student_id, order_id) for (student_id, _), orders in shown.items() for order_id in orders}
    students = {student_id for student_id, _ in shown}
    for order in stored.orders.values():
        if order.student_id in students and (order.student_id, order.order_id) not in followed:
            yield f"student {order.student_id} never saw order {order.order_id}"


def nobody_saw_another_student(stored: Snapshot, seen: History) -> Iterator[str]:
    """I9: no answer, event, ticket or log row shows an order, or its pickup code, to anyone but its student."""
    owners = {order.order_id: order.student_id for order in stored.orders.values()}
    for exchange in seen.exchanges:
        if exchange.status not in {OK, CREATED, ACCEPTED}:
            continue
        order_id = exchange.shown_id
        if owners.get(order_id, exchange.student_id) != exchange.student_id:
            yield f"student {exchange.student_id} was shown order {order_id} of {owners[order_id]}"
    for observed in seen.observed_statuses:
        if owners.get(observed.order_id, observed.student_id) != observed.student_id:
            yield f"the stream of {observed.student_id} showed order {observed.order_id}"
    yield from _shared_codes(seen)
    elsewhere = [(row.order_id, row.student_id) for row in stored.tickets]
    elsewhere += [(row.order_id, row.student_id) for row in stored.notifications]
    for order_id, student_id in elsewhere:
        if owners.get(order_id, student_id) != student_id:
            yield f"order {order_id} belongs to student {student_id} elsewhere"


def _shared_codes(seen: History) -> Iterator[str]:
    """An order has one code, and no two of a rush have the same: else somebody could fetch another's meal."""
    codes: dict[UUID, str] = {}
    orders: dict[str, UUID] = {}
    for observed in seen.observed_statuses:
        if observed.code is None:
            if observed.status in {OrderStatus.IN_KITCHEN, OrderStatus.READY, OrderStatus.COLLECTED}:
                yield f"student {observed.student_id} was not told the code of order {observed.order_id}"
            continue
        if codes.setdefault(observed.order_id, observed.code) != observed.code:
            yield f"order {observed.order_id} was told with two codes"
        if orders.setdefault(observed.code, observed.order_id) != observed.order_id:
            yield f"order {observed.order_id} was told with the code of order {orders[observed.code]}"


def nothing_is_left_on_the_way(stored: Snapshot, _: History) -> Iterator[str]:
    """I10: outboxes are empty, and dead letters came from poison only."""
    if stored.outbox_rows:
        yield f"{stored.outbox_rows} outbox rows were never published"
    yield from stored.on_the_way
    for letter in stored.dead_letters:
        yield from _wrongly_dead(letter)


def _wrongly_dead(letter: StoredLetter) -> Iterator[str]:
    """Only poison injected by faults may be a dead letter, and of a list of items only the unreadable ones."""
    if POISON_ID not in (letter.message_id or ""):
        yield f"item {letter.item} of {letter.subject} became a dead letter: {letter.error}"
    elif letter.item == WHOLE_MESSAGE and items_of(letter.subject, letter.body) is not None:
        yield f"a message of {letter.subject} became a dead letter with all of its items: {letter.error}"
    elif letter.item != WHOLE_MESSAGE and is_readable(letter.subject, letter.body):
        yield f"an item of {letter.subject} that can be read became a dead letter: {letter.error}"


INVARIANTS: dict[str, Check] = {
    "I1 the ledger balances": ledger_balances,
    "I2 each order took its units": orders_took_their_units,
    "I3 every order reached its end": orders_reached_their_end,
    "I4 students were told the truth": answers_agree_with_stored_data,
    "I5 one ticket per verified order": kitchen_has_one_ticket,
    "I6 histories are paths": histories_are_paths,
    "I7 one order per key": one_order_per_key,
    "I8 streams showed all, once, in order": streams_showed_everything_once,
    "I9 nobody saw another student": nobody_saw_another_student,
    "I10 nothing is left on the way": nothing_is_left_on_the_way,
}


def check(stored: Snapshot, seen: History) -> dict[str, list[str]]:
    """Return every invariant with its violations; an empty list means that it holds."""
    return {name: list(invariant(stored, seen)) for name, invariant in INVARIANTS.items()}


def _is_path(statuses: list[str]) -> bool:
    if not statuses or statuses[0] != "PENDING":
        return False
    return all(after in NEXT_STATUSES.get(before, ()) for before, after in pairwise(statuses))
