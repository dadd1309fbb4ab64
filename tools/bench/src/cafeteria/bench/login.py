"""Benchmark: logins a second beside argon2 alone, and orders accepted during a flood of logins."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import msgspec
from argon2 import PasswordHasher

from cafeteria.bench.environment import Environment, Target, open_environment
from cafeteria.bench.interleaving import print_progress
from cafeteria.bench.machine import Meter, Usage, alone, cores
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, row_of
from cafeteria.bench.requests import logins
from cafeteria.bench.steady import OK, ClosedLoad, OpenLoad
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.faultkit import quiescence
from cafeteria.identity import password_hashing
from cafeteria.provisioning.demo_data import PASSWORD

NAME = "login"
MEASURES = "logins a second beside argon2 alone, and orders accepted while many sign in"

SECONDS, ROUNDS, CONNECTIONS = 10.0, 3, 64
WARM_S = 3.0
SIGNING_IN = 16  # at once: fewer than identity hashes or queues
STUDENTS = 4_000  # more than the logins of one minute, in which each may try three times
FLOOD_TIMES = 2.0
QUIESCENT_WITHIN_S = 60.0
LEAST_OF_ARGON2 = 0.9
LEAST_OF_QUIET = 0.8


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Rates a second."""

    argon2: float
    logins: float
    orders: float
    orders_in_flood: float
    logins_in_flood: float
    usage: Usage


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    found: list[Measurement] = []
    async with open_environment(options) as environment:
        students = await _enrol(environment)
        for number in range(1, rounds + 1):
            async with environment.product() as target:
                found.append(await _round(environment, target, options, students))
            _print_round(number, found[-1])
    return _report(found, options, rounds=rounds)


async def _enrol(environment: Environment) -> list[str]:
    """Create students with the password of the demo's students, so that all share one hash."""
    students = [f"bench-{number}" for number in range(STUDENTS)]
    await environment.admin.execute(
        "INSERT INTO identity.users (id, student_id, password_hash, created_at, updated_at, role)"
        " SELECT gen_random_uuid(), student_id, (SELECT password_hash FROM identity.users LIMIT 1), now(), now(),"
        " 'student' FROM unnest($1::text[]) AS student_id ON CONFLICT DO NOTHING",
        students,
    )
    return students


async def _round(
    environment: Environment, target: Target, options: Options, students: list[str]
) -> Measurement:
    seconds = options.seconds or SECONDS
    url = environment.stack.url(IDENTITY)
    async with alone(options.lock):
        await _order(environment, target, options, seconds=WARM_S)
        meter = Meter(target.pids)
        argon2 = await asyncio.to_thread(_argon2_alone, seconds)
        signed_in = await ClosedLoad(url, logins(students, PASSWORD)).run(seconds, connections=SIGNING_IN)
        await environment.admin.execute("TRUNCATE identity.login_windows")
        quiet = await _order(environment, target, options, seconds=seconds)
        flood = OpenLoad(url, logins(students, PASSWORD), rate=argon2 * FLOOD_TIMES)
        in_flood, flooded = await asyncio.gather(
            _order(environment, target, options, seconds=seconds), flood.run(seconds)
        )
        usage = meter.read()
    return Measurement(
        argon2=argon2,
        logins=signed_in.count(OK) / signed_in.seconds,
        orders=quiet,
        orders_in_flood=in_flood,
        logins_in_flood=flooded.count(OK) / seconds,
        usage=usage,
    )


async def _order(environment: Environment, target: Target, options: Options, *, seconds: float) -> float:
    connections = options.connections or CONNECTIONS
    load = await environment.place_orders(target, connections=connections, seconds=seconds)
    await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
    return load.accepted_per_s


def _argon2_alone(seconds: float) -> float:
    """Return the passwords verified a second by one thread on each core; argon2 releases the GIL."""
    hasher = PasswordHasher(
        time_cost=password_hashing.PASSES,
        memory_cost=password_hashing.MEMORY_KIB,
        parallelism=password_hashing.PARALLELISM,
    )
    hashed, until = hasher.hash(PASSWORD), monotonic() + seconds

    def verify() -> int:
        count = 0
        while monotonic() < until:
            hasher.verify(hashed, PASSWORD)
            count += 1
        return count

    count = cores()
    with ThreadPoolExecutor(count) as threads:
        return sum(threads.map(lambda _: verify(), range(count))) / seconds


def _print_round(number: int, found: Measurement) -> None:
    print_progress(
        f"round {number}: argon2 alone {found.argon2:.0f}/s, logins {found.logins:.0f}/s; orders "
        f"{found.orders:.0f}/s, in a flood {found.orders_in_flood:.0f}/s with {found.logins_in_flood:.0f} logins/s; "
        f"stolen {found.usage.steal:.0%}, neighbours {found.usage.others:.0%}"
    )


def _report(found: list[Measurement], options: Options, *, rounds: int) -> Report:
    signed_in = row_of(
        "passwords verified",
        "1/s",
        {"argon2 alone": [each.argon2 for each in found], "logins": [each.logins for each in found]},
    )
    ordered = row_of(
        "orders accepted",
        "1/s",
        {"quiet": [each.orders for each in found], "in a flood": [each.orders_in_flood for each in found]},
    )
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={
            "seconds": f"{options.seconds or SECONDS:g}",
            "rounds": str(rounds),
            "signing in at once": str(SIGNING_IN),
            "flood": "twice argon2 alone",
        },
        rows=(
            signed_in,
            ordered,
            row_of("logins", "1/s", {"in a flood": [each.logins_in_flood for each in found]}),
            row_of("machine: neighbours", "%", {"quiet": [each.usage.others * 100 for each in found]}),
        ),
        ratios=(
            Ratio.between(
                "logins, of argon2 alone", signed_in, of="logins", to="argon2 alone", target=LEAST_OF_ARGON2
            ),
            Ratio.between(
                "orders in a flood of logins, of quiet",
                ordered,
                of="in a flood",
                to="quiet",
                target=LEAST_OF_QUIET,
            ),
        ),
    )
