"""Crash points on real servers: the wire proxy passes exactly the right messages, and no promise is broken."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from cafeteria.contracts.subjects import GATEWAY_STATUS, KITCHEN_STATUS, STREAMS, WORK_PLACED
from cafeteria.crash_points.environment import KILLABLE_SERVICES, Environment
from cafeteria.crash_points.naming import Marks
from cafeteria.crash_points.options import CrashOptions
from cafeteria.crash_points.points import Kind, Moment, Point
from cafeteria.crash_points.postgres_names import statement_name
from cafeteria.crash_points.rounds import Rounds
from cafeteria.crash_points.run import run
from cafeteria.crash_points.scenarios import TOGETHER
from cafeteria.crash_points.watchers import Trap
from cafeteria.crash_points.wire_proxy import POSTGRES, Place, WireProxy
from cafeteria.faultkit.stored_messages import read_newest
from cafeteria.faultkit.tcp_proxy import Direction
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.testkit.servers import FixtureServers

WaitUntil = Callable[..., Awaitable[Any]]

PLACE = Place("client", POSTGRES)
PROXIED = "proxied"
INSERT = "INSERT INTO public.crashes (id) VALUES ($1)"
INTO_CRASHES = statement_name(INSERT)


@pytest.fixture
async def crashes(servers: FixtureServers) -> AsyncIterator[asyncpg.Connection]:
    """A connection without the wire proxy, with an empty table `crashes`."""
    async with servers.database_as_admin() as connection:
        await connection.execute("CREATE TABLE public.crashes (id int)")
        yield connection
        await connection.execute("DROP TABLE public.crashes")


@asynccontextmanager
async def proxied(servers: FixtureServers) -> AsyncIterator[tuple[WireProxy, asyncpg.Connection]]:
    """A connection through a wire proxy; it ends without closing, as after a kill."""
    admin = urlsplit(servers.postgres_admin_url)
    async with WireProxy(PLACE, port=admin.port or 0, marks=Marks()) as proxy:
        connection = await asyncpg.connect(
            servers.postgres_admin_url,
            host="127.0.0.1",
            port=proxy.port,
            server_settings={"application_name": PROXIED},
        )
        try:
            yield proxy, connection
        finally:
            connection.terminate()


def trap_at(message: str, moment: Moment, connection: asyncpg.Connection) -> Trap:
    kind = Kind(PLACE.service, PLACE.server, Direction.REQUESTS, message)
    return Trap(Point("test", kind, 1, moment), background=frozenset(), kill=connection.terminate)


async def count_after_session(crashes: asyncpg.Connection, wait_until: WaitUntil) -> int:
    """Count after the proxied session is over: its last messages, such as COMMIT, do not name the table."""

    async def is_idle() -> bool:
        return not await crashes.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", PROXIED
        )

    await wait_until(is_idle)
    return await crashes.fetchval("SELECT count(*) FROM public.crashes")


@pytest.mark.parametrize(("moment", "stored"), [(Moment.BEFORE, 0), (Moment.AFTER, 1)])
async def test_a_commit_takes_place_if_it_passed(
    servers: FixtureServers, crashes: asyncpg.Connection, wait_until: WaitUntil, moment: Moment, stored: int
) -> None:
    async with proxied(servers) as (proxy, connection):
        proxy.watcher = trap = trap_at("commit:Query", moment, connection)
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with connection.transaction():
                await connection.execute(INSERT, 1)
        assert trap.sprung.is_set()
    assert await count_after_session(crashes, wait_until) == stored


@pytest.mark.parametrize(("moment", "stored"), [(Moment.BEFORE, 0), (Moment.AFTER, 1)])
async def test_a_statement_alone_takes_place_if_its_sync_passed(
    servers: FixtureServers, crashes: asyncpg.Connection, wait_until: WaitUntil, moment: Moment, stored: int
) -> None:
    async with proxied(servers) as (proxy, connection):
        proxy.watcher = trap = trap_at(f"{INTO_CRASHES}:Sync", moment, connection)
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.execute(INSERT, 1)
        assert trap.sprung.is_set()
    assert await count_after_session(crashes, wait_until) == stored


async def test_without_a_watcher_bytes_pass_unchanged(
    servers: FixtureServers, crashes: asyncpg.Connection
) -> None:
    async with proxied(servers) as (_, connection):
        text = "x" * 3_000_000
        assert await connection.fetchval("SELECT $1::text || $1::text", text) == text + text


@pytest.mark.timeout(360)
async def test_orders_placed_together_share_messages() -> None:
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    with temporary_data_directory() as data_directory:
        async with Environment(data_directory) as environment:
            await Rounds(environment).record("together")
            for stream in STREAMS:
                for message in await read_newest(environment.bus, stream.name, count=100):
                    sizes[message.subject].append(len(message.items() or ()))
    for subject in (WORK_PLACED.subject, GATEWAY_STATUS.subject, KITCHEN_STATUS.subject):
        assert max(sizes[subject]) > TOGETHER // 2, f"{subject}: {sizes[subject]}"


@pytest.mark.timeout(360)
async def test_a_sample_of_all_crash_points_breaks_no_promise() -> None:
    sample = CrashOptions(scenarios=("order",), sample=4, seed=20261122, workers=1, fresh_starts=1)
    result = await run(sample)
    assert {outcome.point: outcome.violations for outcome in result.outcomes if outcome.violations} == {}
    assert len(result.outcomes) == 4
    assert {outcome.point.kind.service for outcome in result.outcomes} == set(KILLABLE_SERVICES)
