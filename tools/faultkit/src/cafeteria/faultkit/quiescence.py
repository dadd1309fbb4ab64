"""Quiescence: waits until all orders have ended, all messages are read and all streams are complete, and times it."""

import asyncio
from time import monotonic

import asyncpg
import msgspec
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import Refused
from cafeteria.contracts.subjects import DURABLES, NOTIFICATION_STREAM
from cafeteria.faultkit.cluster import Arena
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import streams_showed_everything_once
from cafeteria.faultkit.snapshot import Snapshot

POLL_S = 0.1
GIVEN_UP_AFTER_S = 90.0
STREAMS_WITHIN_S = 30.0

_OPEN_ORDERS = """
SELECT (SELECT count(*) FROM gateway.orders WHERE status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN')
        OR status = 'CANCELLED' AND released_at IS NULL)
     + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status IN ('QUEUED', 'IN_KITCHEN'))"""
_OPEN_BEFORE = """
SELECT count(*) FROM gateway.orders WHERE created_at <= $1
    AND (status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN') OR status = 'CANCELLED' AND released_at IS NULL)"""
_UNDELIVERED = """
SELECT (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox)
     + (SELECT count(*) FROM gateway.orders WHERE next_check_at IS NOT NULL)
     + (SELECT count(*) FROM kitchen.kitchen_orders WHERE confirm_at IS NOT NULL)"""
"""The last two count rows whose delivery to every receiver is not confirmed yet."""
_READ_UP_TO = "SELECT stream_sequence FROM notification.position_counter"


class Rest(msgspec.Struct, kw_only=True):
    """Times until quiescence in seconds, None where it was not reached: `mended_after_s` for orders of the storm, since
    the last fault healed; the other two for later orders and their messages, since the last of them was answered.
    """

    mended_after_s: float | None = None
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


async def until_mended(arena: Arena) -> float | None:
    """Wait until every order that exists now has ended; return the seconds, or None if that takes too long."""
    began_at = monotonic()
    async with arena.database() as connection:
        healed_at = await connection.fetchval("SELECT clock_timestamp()")
        while monotonic() - began_at < GIVEN_UP_AFTER_S:
            if await connection.fetchval(_OPEN_BEFORE, healed_at) == 0:
                return monotonic() - began_at
            await asyncio.sleep(POLL_S)
    return None


async def come_to_rest(arena: Arena, *, mended_after_s: float | None = None) -> Rest:
    """Wait until every order has ended, then until every message is read."""
    began_at = monotonic()
    rest = Rest(mended_after_s=mended_after_s)
    async with arena.database() as connection:
        while monotonic() - began_at < GIVEN_UP_AFTER_S:
            rest.open_orders = await connection.fetchval(_OPEN_ORDERS)
            if rest.open_orders == 0:
                rest.ended_after_s = rest.ended_after_s or monotonic() - began_at
                rest.on_the_way = await on_the_way(arena, connection)
                rest.unconfirmed = await connection.fetchval(_UNDELIVERED)
                if not rest.on_the_way and not rest.unconfirmed:
                    rest.carried_after_s = monotonic() - began_at
                    break
            await asyncio.sleep(POLL_S)
    return rest


async def on_the_way(arena: Arena, connection: asyncpg.Connection) -> tuple[str, ...]:
    """Return a sentence for every consumer that has not read and acknowledged all messages."""
    try:
        unread = {durable.name: await arena.bus.unread(durable.stream, durable.name) for durable in DURABLES}
        last = (await arena.bus.stream(NOTIFICATION_STREAM.name))["last_seq"]
    except (nats.errors.Error, Refused, TimeoutError) as error:
        return (f"the bus does not report its unread messages: {error!r}",)
    unread["notification"] = last - await connection.fetchval(_READ_UP_TO)
    return tuple(
        f"{reader} has {messages} messages that it has not read"
        for reader, messages in unread.items()
        if messages
    )


async def streams_caught_up(stored: Snapshot, seen: History) -> bool:
    """Wait until every device has seen every status; return False on a time-out (the checker reports the rest)."""
    deadline = monotonic() + STREAMS_WITHIN_S
    while monotonic() < deadline:
        if next(streams_showed_everything_once(stored, seen), None) is None:
            return True
        await asyncio.sleep(1)
    return False
