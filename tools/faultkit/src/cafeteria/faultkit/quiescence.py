"""Quiescence: waits until all orders have ended, all messages are read and all streams are complete.

Three waits, because they may cost different amounts: `reach_quiescence` also waits until every delivery is confirmed, seconds
after it happened; `until_carried` asks for its effects alone; `until_idle` looks only at what is open and at the newest
orders, so it may be asked beside a load and over millions of old orders.
"""

from time import monotonic

import asyncpg
import msgspec
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import Refused
from cafeteria.contracts.subjects import DURABLES, NOTIFICATION_STREAM
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import streams_showed_everything_once
from cafeteria.faultkit.snapshot import Snapshot
from cafeteria.local_stack.polling import is_true_within

POLL_S = 0.1
GIVEN_UP_AFTER_S = 90.0
CARRIED_WITHIN_S = 30.0
STREAMS_WITHIN_S = 30.0
IDLE_POLL_S = 0.25

_OPEN_ORDERS = """
SELECT (SELECT count(*) FROM gateway.orders WHERE status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN')
        OR status = 'CANCELLED' AND released_at IS NULL)
     + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status IN ('QUEUED', 'IN_KITCHEN'))"""
_OPEN_BEFORE = """
SELECT count(*) FROM gateway.orders WHERE created_at <= $1
    AND (status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN') OR status = 'CANCELLED' AND released_at IS NULL)"""
_OUTBOX_ROWS = "SELECT (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox)"
_UNCONFIRMED = """
SELECT (SELECT count(*) FROM gateway.orders WHERE next_check_at IS NOT NULL)
     + (SELECT count(*) FROM kitchen.kitchen_orders WHERE confirm_at IS NOT NULL)"""
"""Rows whose delivery to every receiver is not confirmed yet."""
_UNLOGGED = """
SELECT count(*) FROM gateway.orders o WHERE NOT EXISTS (
    SELECT FROM notification.notifications n WHERE n.order_id = o.id AND n.version = o.version)"""
_UNDER_WAY = """
SELECT (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox)
        + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'QUEUED')
        + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN')
        + (SELECT count(*) FROM gateway.orders WHERE next_ask_at IS NOT NULL) AS orders,
    (SELECT position FROM notification.position_counter) AS position
"""
_NEWEST_UNDER_WAY = """
SELECT EXISTS (
    SELECT FROM (SELECT id, status FROM gateway.orders ORDER BY id DESC LIMIT 1000) AS newest
    WHERE status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN') OR NOT EXISTS (
        SELECT FROM notification.notifications WHERE order_id = newest.id AND status_sent = newest.status))
"""
"""A service that gets no processor for a moment moves as little as one that has nothing to do. Of the orders that it has
left some are among the newest."""
_READ_UP_TO = "SELECT stream_sequence FROM notification.position_counter"


class Quiescence(msgspec.Struct, kw_only=True):
    """Times until quiescence in seconds, None where it was not reached: `recovered_after_s` for orders of the load phase,
    since the last fault healed; the other two for later orders and their messages, since the last of them was answered.
    """

    recovered_after_s: float | None = None
    ended_after_s: float | None = None
    carried_after_s: float | None = None
    open_orders: int = 0
    unconfirmed: int = 0
    on_the_way: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[str, ...]:
        """Sentences about deliveries that were missing or not confirmed when the waiting ended."""
        if not self.unconfirmed:
            return self.on_the_way
        return (*self.on_the_way, f"{self.unconfirmed} rows are not known to have arrived everywhere")


async def until_orders_ended(cluster: Cluster) -> float | None:
    """Wait until every order that exists now has ended; return the seconds, or None if that takes too long."""
    began_at = monotonic()
    async with cluster.database() as connection:
        healed_at = await connection.fetchval("SELECT clock_timestamp()")

        async def have_ended() -> bool:
            return not await connection.fetchval(_OPEN_BEFORE, healed_at)

        has_recovered = await is_true_within(GIVEN_UP_AFTER_S, have_ended, poll_s=POLL_S)
    return monotonic() - began_at if has_recovered else None


async def reach_quiescence(cluster: Cluster, *, recovered_after_s: float | None = None) -> Quiescence:
    """Wait until every order has ended, then until every message is read and every delivery confirmed."""
    began_at = monotonic()
    quiescence = Quiescence(recovered_after_s=recovered_after_s)
    async with cluster.database() as connection:

        async def is_reached() -> bool:
            quiescence.open_orders = await connection.fetchval(_OPEN_ORDERS)
            if quiescence.open_orders:
                return False
            quiescence.ended_after_s = quiescence.ended_after_s or monotonic() - began_at
            quiescence.on_the_way = await unread_messages(cluster.bus, connection)
            quiescence.unconfirmed = await _sum(connection, _OUTBOX_ROWS, _UNCONFIRMED)
            return not quiescence.on_the_way and not quiescence.unconfirmed

        if await is_true_within(GIVEN_UP_AFTER_S, is_reached, poll_s=POLL_S):
            quiescence.carried_after_s = monotonic() - began_at
    return quiescence


async def until_carried(bus: BusAdmin, connection: asyncpg.Connection) -> tuple[str, ...]:
    """Wait until every order has ended and every message is read; return sentences about what is left after that."""
    left: tuple[str, ...] = ()

    async def is_reached() -> bool:
        nonlocal left
        unfinished = await _sum(connection, _OPEN_ORDERS, _OUTBOX_ROWS, _UNLOGGED)
        left = await unread_messages(bus, connection)
        if unfinished:
            left = (f"{unfinished} orders, tickets or messages are not finished", *left)
        return not left

    await is_true_within(CARRIED_WITHIN_S, is_reached, poll_s=POLL_S)
    return left


async def until_idle(connection: asyncpg.Connection, *, within_s: float) -> None:
    """Wait until nothing moves any more and the newest orders have ended, or until `within_s` have passed."""
    before = None

    async def is_idle() -> bool:
        nonlocal before
        [row] = await connection.fetch(_UNDER_WAY)
        is_quiet, before = row["orders"] == 0 and row["position"] == before, row["position"]
        return is_quiet and not await connection.fetchval(_NEWEST_UNDER_WAY)

    await is_true_within(within_s, is_idle, poll_s=IDLE_POLL_S)


async def unread_messages(bus: BusAdmin, connection: asyncpg.Connection) -> tuple[str, ...]:
    """Return a sentence for every consumer that has not read and acknowledged all messages."""
    try:
        unread = {durable.name: await bus.unread(durable.stream, durable.name) for durable in DURABLES}
        last = (await bus.stream(NOTIFICATION_STREAM.name))["last_seq"]
    except (nats.errors.Error, Refused, TimeoutError) as error:
        return (f"the bus does not report its unread messages: {error!r}",)
    unread["notification"] = last - await connection.fetchval(_READ_UP_TO)
    return tuple(
        f"{reader} has {messages} messages that it has not read"
        for reader, messages in unread.items()
        if messages
    )


async def streams_caught_up(stored: Snapshot, seen: History, *, within_s: float = STREAMS_WITHIN_S) -> bool:
    """Wait until every device has seen every status; return False on a time-out (the checker reports what is missing)."""

    def have_shown_all() -> bool:
        return next(streams_showed_everything_once(stored, seen), None) is None

    return await is_true_within(within_s, have_shown_all, poll_s=1)


async def _sum(connection: asyncpg.Connection, *counts: str) -> int:
    return sum([await connection.fetchval(count) for count in counts])
