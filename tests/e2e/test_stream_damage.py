"""What the bus stores may be dropped, deleted, damaged or old: Postgres is the record, and every order reaches its end."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cafeteria.contracts.subjects import KITCHEN_STREAM, NOTIFICATION_STREAM
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.stored_messages import read_newest
from cafeteria.provisioning import streams

SMALL_BYTES = 8 << 10
ROUNDS, A_ROUND = 6, 10
"""The work of all these orders takes over twice `SMALL_BYTES`, that of a round, in a message or two, less than half."""
MESSAGES = 500
"""More than there are."""


async def place(campus: Any, student: Any, lines: Any, order_in: Any, *, name: str, count: int) -> list[Any]:
    answers = await asyncio.gather(*(student.order(lines, key=f"{name}-{number}") for number in range(count)))
    return [order_in(answer) for answer in answers]


async def until_all_ready(campus: Any, student: Any, orders: list[Any]) -> None:
    await campus.until_all_are([order.id for order in orders], "READY")
    await campus.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])


@asynccontextmanager
async def administrator(campus: Any) -> AsyncIterator[BusAdmin]:
    async with BusAdmin(campus.stack.servers.nats_admin_url) as admin:
        yield admin


@asynccontextmanager
async def without(stack: Any, member: str) -> AsyncIterator[None]:
    await stack.stop(member)
    try:
        yield
    finally:
        await stack.start(member)


def store_of(campus: Any) -> Path:
    return Path(campus.stack.home.nats) / "store"


def block_of(campus: Any, stream: str) -> Path:
    [block, *_] = sorted(store_of(campus).rglob(f"streams/{stream}/msgs/*.blk"))
    return block


async def test_work_that_a_full_stream_has_dropped_unread_is_cooked(
    campus: Any, lines_of: Any, order_in: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, dish = await campus.student(), await campus.dish(2 * ROUNDS * A_ROUND)
    campus.follow(student)
    configure = streams.stream_config

    async def room() -> int:
        return int((await admin.ask(f"STREAM.INFO.{KITCHEN_STREAM.name}"))["config"]["max_bytes"])

    async with administrator(campus) as admin:
        async with without(campus.stack, "kitchen"):
            with monkeypatch.context() as small:
                small.setattr(
                    streams,
                    "stream_config",
                    lambda stream, *, max_bytes: configure(stream, max_bytes=SMALL_BYTES),
                )

                async def is_small() -> bool:
                    return await room() == SMALL_BYTES

                await wait_until(is_small)
                orders = []
                for number in range(ROUNDS):
                    orders += await place(
                        campus, student, lines_of(dish), order_in, name=f"full-{number}", count=A_ROUND
                    )
                await wait_until(lambda: is_all_published(campus))
                assert await items_stored(admin, KITCHEN_STREAM.name) < len(orders)
        await until_all_ready(campus, student, orders)


async def is_all_published(campus: Any) -> bool:
    async with campus.database() as database:
        return bool(await database.fetchval("SELECT NOT EXISTS (SELECT FROM gateway.outbox)"))


async def items_stored(admin: BusAdmin, stream: str) -> int:
    return sum(len(message.items() or ()) for message in await read_newest(admin, stream, count=MESSAGES))


async def test_streams_deleted_and_created_again_under_their_readers_lose_nothing(
    campus: Any, lines_of: Any, order_in: Any, wait_until: Any
) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    campus.follow(student)
    orders = []
    async with administrator(campus) as admin:
        for stream in (KITCHEN_STREAM.name, NOTIFICATION_STREAM.name):
            placing = asyncio.create_task(
                place(campus, student, lines_of(dish), order_in, name=f"gone-{stream}", count=10)
            )
            await admin.ask(f"STREAM.DELETE.{stream}")
            orders += await placing
            orders += await place(campus, student, lines_of(dish), order_in, name=f"back-{stream}", count=3)
    await until_all_ready(campus, student, orders)


async def test_a_byte_that_flipped_in_a_block_loses_no_order(
    campus: Any, lines_of: Any, order_in: Any
) -> None:
    """In one stream and then in the other, while work waits unread."""
    student, dish = await campus.student(), await campus.dish(100)
    campus.follow(student)
    orders = []
    async with without(campus.stack, "kitchen"):
        for stream in (KITCHEN_STREAM.name, NOTIFICATION_STREAM.name):
            orders += await place(campus, student, lines_of(dish), order_in, name=f"flip-{stream}", count=12)
            async with without(campus.stack, "nats"):
                flip_a_byte(block_of(campus, stream))
            orders += await place(campus, student, lines_of(dish), order_in, name=f"then-{stream}", count=3)
    await until_all_ready(campus, student, orders)


def flip_a_byte(block: Path) -> None:
    """Among the newest messages."""
    content = bytearray(block.read_bytes())
    content[-len(content) // 8] ^= 0x55
    block.write_bytes(content)


async def test_yesterdays_store_under_todays_database_loses_nothing(
    campus: Any, lines_of: Any, order_in: Any, tmp_path: Path
) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    campus.follow(student)
    store, yesterday = store_of(campus), tmp_path / "yesterday"
    orders = await place(campus, student, lines_of(dish), order_in, name="yesterday", count=5)
    async with without(campus.stack, "nats"):
        shutil.copytree(store, yesterday)
    orders += await place(campus, student, lines_of(dish), order_in, name="today", count=15)
    await until_all_ready(campus, student, orders)
    unread = await place(campus, student, lines_of(dish), order_in, name="unread", count=5)
    async with without(campus.stack, "nats"):
        shutil.rmtree(store)
        shutil.copytree(yesterday, store)
    orders += unread + await place(campus, student, lines_of(dish), order_in, name="after", count=5)
    await until_all_ready(campus, student, orders)
