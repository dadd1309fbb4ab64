"""Every order reaches its end although NATS loses, damages or forgets what it stored: Postgres is the record."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cafeteria.contracts.subjects import KITCHEN_STREAM, NOTIFICATION_STREAM
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.stored_messages import read_newest
from cafeteria.provisioning import streams

if TYPE_CHECKING:
    from conftest import RunningStack

SMALL_BYTES = 8 << 10
ROUNDS, A_ROUND = 6, 10
"""The work of all these orders takes over twice `SMALL_BYTES`, that of a round, in a message or two, less than half."""
MESSAGES = 500
"""More than the stream ever holds here."""


async def place(
    stack: "RunningStack", student: Any, lines: Any, order_in: Any, *, name: str, count: int
) -> list[Any]:
    answers = await asyncio.gather(*(student.order(lines, key=f"{name}-{number}") for number in range(count)))
    return [order_in(answer) for answer in answers]


async def until_all_ready(stack: "RunningStack", student: Any, orders: list[Any]) -> None:
    await stack.until_all_are([order.id for order in orders], "READY")
    await stack.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])


@asynccontextmanager
async def administrator(stack: "RunningStack") -> AsyncIterator[BusAdmin]:
    async with BusAdmin(stack.processes.servers.nats_admin_url) as admin:
        yield admin


@asynccontextmanager
async def without(processes: Any, member: str) -> AsyncIterator[None]:
    await processes.stop(member)
    try:
        yield
    finally:
        await processes.start(member)


def store_of(stack: "RunningStack") -> Path:
    return Path(stack.processes.home.nats) / "store"


def block_of(stack: "RunningStack", stream: str) -> Path:
    [block, *_] = sorted(store_of(stack).rglob(f"streams/{stream}/msgs/*.blk"))
    return block


async def test_work_that_a_full_stream_has_dropped_unread_is_cooked(
    stack: "RunningStack", lines_of: Any, order_in: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, dish = await stack.student(), await stack.dish(2 * ROUNDS * A_ROUND)
    stack.follow(student)
    configure = streams.stream_config

    async def max_bytes_now() -> int:
        return int((await admin.ask(f"STREAM.INFO.{KITCHEN_STREAM.name}"))["config"]["max_bytes"])

    async with administrator(stack) as admin:
        async with without(stack.processes, "kitchen"):
            with monkeypatch.context() as small:
                small.setattr(
                    streams,
                    "stream_config",
                    lambda stream, *, max_bytes: configure(stream, max_bytes=SMALL_BYTES),
                )

                async def is_small() -> bool:
                    return await max_bytes_now() == SMALL_BYTES

                await wait_until(is_small)
                orders = []
                for number in range(ROUNDS):
                    orders += await place(
                        stack, student, lines_of(dish), order_in, name=f"full-{number}", count=A_ROUND
                    )
                await wait_until(lambda: is_all_published(stack))
                assert await items_stored(admin, KITCHEN_STREAM.name) < len(orders)
        await until_all_ready(stack, student, orders)


async def is_all_published(stack: "RunningStack") -> bool:
    async with stack.database() as database:
        return bool(await database.fetchval("SELECT NOT EXISTS (SELECT FROM gateway.outbox)"))


async def items_stored(admin: BusAdmin, stream: str) -> int:
    return sum(len(message.items() or ()) for message in await read_newest(admin, stream, count=MESSAGES))


async def test_streams_deleted_and_created_again_under_their_readers_lose_nothing(
    stack: "RunningStack", lines_of: Any, order_in: Any, wait_until: Any
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    stack.follow(student)
    orders = []
    async with administrator(stack) as admin:
        for stream in (KITCHEN_STREAM.name, NOTIFICATION_STREAM.name):
            placing = asyncio.create_task(
                place(stack, student, lines_of(dish), order_in, name=f"gone-{stream}", count=10)
            )
            await admin.ask(f"STREAM.DELETE.{stream}")
            orders += await placing
            orders += await place(stack, student, lines_of(dish), order_in, name=f"back-{stream}", count=3)
    await until_all_ready(stack, student, orders)


async def test_a_byte_that_flipped_in_a_block_loses_no_order(
    stack: "RunningStack", lines_of: Any, order_in: Any
) -> None:
    """In one stream and then in the other, while work waits unread."""
    student, dish = await stack.student(), await stack.dish(100)
    stack.follow(student)
    orders = []
    async with without(stack.processes, "kitchen"):
        for stream in (KITCHEN_STREAM.name, NOTIFICATION_STREAM.name):
            orders += await place(stack, student, lines_of(dish), order_in, name=f"flip-{stream}", count=12)
            async with without(stack.processes, "nats"):
                flip_a_byte(block_of(stack, stream))
            orders += await place(stack, student, lines_of(dish), order_in, name=f"then-{stream}", count=3)
    await until_all_ready(stack, student, orders)


def flip_a_byte(block: Path) -> None:
    """Among the newest messages."""
    content = bytearray(block.read_bytes())
    content[-len(content) // 8] ^= 0x55
    block.write_bytes(content)


async def test_yesterdays_store_under_todays_database_loses_nothing(
    stack: "RunningStack", lines_of: Any, order_in: Any, tmp_path: Path
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    stack.follow(student)
    store, yesterday = store_of(stack), tmp_path / "yesterday"
    orders = await place(stack, student, lines_of(dish), order_in, name="yesterday", count=5)
    async with without(stack.processes, "nats"):
        shutil.copytree(store, yesterday)
    orders += await place(stack, student, lines_of(dish), order_in, name="today", count=15)
    await until_all_ready(stack, student, orders)
    unread = await place(stack, student, lines_of(dish), order_in, name="unread", count=5)
    async with without(stack.processes, "nats"):
        shutil.rmtree(store)
        shutil.copytree(yesterday, store)
    orders += unread + await place(stack, student, lines_of(dish), order_in, name="after", count=5)
    await until_all_ready(stack, student, orders)
