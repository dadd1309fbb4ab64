"""Interleaving: rounds alternate between contenders (A B A B …), so that changes of the machine affect all alike.

A round with too much stolen time is discarded and repeated, at most as often as there are rounds.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from rich.console import Console

from cafeteria.bench.environment import Environment
from cafeteria.bench.flow import Flow, Round, run_round
from cafeteria.bench.options import Options

MAX_STEAL = 0.10
FLOOR = "floor"
PRODUCT = "product"

console = Console(stderr=True)


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """The floor or the product, and the load that it gets."""

    name: str
    flow: Flow
    system: str = PRODUCT


Measure = Callable[[Contender], Awaitable[Round]]


class Interleaving(msgspec.Struct, frozen=True, kw_only=True):
    """`remarks` has a sentence for each discarded round and each error."""

    rounds: dict[str, list[Round]]
    remarks: list[str]


def on_empty_tables(environment: Environment, options: Options) -> Measure:
    """Return a measurement that starts the processes on empty tables for each round."""

    async def measure(contender: Contender) -> Round:
        system = environment.floor if contender.system == FLOOR else environment.product
        async with system(portions=contender.flow.portions) as target:
            return await run_round(environment, target, contender.flow, options)

    return measure


async def interleave(contenders: Sequence[Contender], measure: Measure, *, rounds: int) -> Interleaving:
    kept: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    remarks: list[str] = []
    repeats_left = rounds
    for number in range(1, rounds + 1):
        for contender in contenders:
            while True:
                found = await measure(contender)
                _print_round(number, contender.name, found)
                if found.usage.steal <= MAX_STEAL or repeats_left == 0:
                    break
                repeats_left -= 1
                remarks.append(
                    f"A round of {contender.name} was discarded: {found.usage.steal:.0%} was stolen."
                )
            kept[contender.name].append(found)
            remarks += [f"{contender.name}, round {number}: {error}." for error in found.errors]
    return Interleaving(rounds=kept, remarks=remarks)


def print_progress(line: str) -> None:
    """Show what is measured, or what was found in one round."""
    console.print(f"  {line}", style="dim", highlight=False)


def _print_round(number: int, name: str, found: Round) -> None:
    usage, load = found.usage, found.load
    refused = sum(load.answers.values()) - load.accepted
    cpu_us = found.cpu_s_in_all / max(1, load.accepted or refused) * 1e6
    print_progress(
        f"round {number}, {name}: {load.accepted_per_s:,.0f} accepted/s, {found.carried_per_s:,.0f} carried/s, "
        f"{refused / load.seconds:,.0f} refused/s, {cpu_us:,.0f} µs for each; stolen {usage.steal:.0%}, "
        f"neighbours {usage.others:.0%}, load average {usage.load_average:.1f}"
    )
