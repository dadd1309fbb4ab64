"""Quiescence of the test bed: every order has ended, and every message is read, logged and acknowledged."""

import asyncio
from time import monotonic

import msgspec
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import Refused
from cafeteria.contracts.subjects import DURABLES, NOTIFICATION_STREAM
from cafeteria.crash_points.environment import Stage
from cafeteria.crash_points.polling import POLL_S, true_within
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import check, streams_showed_everything_once
from cafeteria.faultkit.snapshot import Snapshot, read_snapshot

REST_WITHIN_S = 30.0
STREAMS_WITHIN_S = 10.0

_UNFINISHED = """
SELECT (SELECT count(*) FROM gateway.orders WHERE status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN')
        OR status = 'CANCELLED' AND released_at IS NULL)
     + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status IN ('QUEUED', 'IN_KITCHEN'))
     + (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox)
     + (SELECT count(*) FROM gateway.orders o WHERE NOT EXISTS (
            SELECT FROM notification.notifications n WHERE n.order_id = o.id AND n.version = o.version))"""
_READ_UP_TO = "SELECT stream_sequence FROM notification.position_counter"


async def come_to_rest(stage: Stage, *, within_s: float = REST_WITHIN_S) -> tuple[str, ...]:
    """Wait for quiescence; return a sentence for everything that is unfinished after `within_s`."""
    deadline = monotonic() + within_s
    while True:
        unfinished = await stage.database.fetchval(_UNFINISHED)
        left = await _unread(stage)
        if unfinished:
            left = (f"{unfinished} orders, tickets or messages are not finished", *left)
        if not left or monotonic() > deadline:
            return left
        await asyncio.sleep(POLL_S)


async def _unread(stage: Stage) -> tuple[str, ...]:
    try:
        unread = {each.name: await stage.bus.unread(each.stream, each.name) for each in DURABLES}
        last = (await stage.bus.stream(NOTIFICATION_STREAM.name))["last_seq"]
    except (nats.errors.Error, Refused, TimeoutError) as error:
        return (f"the bus does not report its unread messages: {error!r}",)
    unread["notification"] = last - await stage.database.fetchval(_READ_UP_TO)
    return tuple(f"{reader} has not read {count} messages" for reader, count in unread.items() if count)


async def broken_promises(stage: Stage, left: tuple[str, ...]) -> list[str]:
    """Check I1 to I10 for everything on this test bed; streams get STREAMS_WITHIN_S to show the last event."""
    stored = msgspec.structs.replace(await read_snapshot(stage.database), on_the_way=left)
    await _wait_for_streams(stored, stage.history)
    return [
        f"{name}: {sentence}"
        for name, sentences in check(stored, stage.history).items()
        for sentence in sentences
    ]


async def _wait_for_streams(stored: Snapshot, seen: History) -> None:
    async def have_shown_all() -> bool:
        return next(streams_showed_everything_once(stored, seen), None) is None

    await true_within(STREAMS_WITHIN_S, have_shown_all)
