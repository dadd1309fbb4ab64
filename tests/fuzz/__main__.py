"""`just fuzz`: schemathesis against all five running services, without a token and in each role.

    just fuzz --minutes 30          # starts a stack of its own, and ends it
    python tests/fuzz --against -   # one short round over services that run; addresses and tokens come as JSON

A finding is a broken check of schemathesis (any 5xx but 503, and whatever the published document does not say),
or a request that a service logs as failed. The exit code is 1 where there is one.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from random import SystemRandom
from time import monotonic

from schemathesis_run import ALL_PHASES, ANONYMOUS, Outcome, run_schemathesis

from cafeteria.contracts.subjects import GATEWAY, IDENTITY, KITCHEN, NOTIFICATION, SERVICES, STOCK
from cafeteria.contracts.values import Role
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.testkit.tokens import Tokens

ROLES = (ANONYMOUS, *Role)
ENVIRONMENTS = {
    # in auto mode every action on a ticket is refused; with the usual limits nearly every login is
    KITCHEN: {"KITCHEN_MODE": "manual"},
    IDENTITY: {
        "IDENTITY_LOGINS_PER_CLIENT": "1000000",
        "IDENTITY_LOGINS_PER_STUDENT": "1000000",
        "IDENTITY_FAILURES_PER_CLIENT": "1000000",
    },
}
MOST_ALLOWED = {
    GATEWAY: Role.STUDENT,
    IDENTITY: Role.STUDENT,
    STOCK: Role.OPERATOR,
    KITCHEN: Role.KITCHEN,
    NOTIFICATION: Role.STUDENT,
}
"""The role that reaches most of a service. Identity's operator reaches more, but each new account costs a hash."""

SHORT_SEED = 1
_UNFORESEEN = re.compile(r'"event": ?"request_failed"')
WITHOUT_OPERATIONS = ("--exclude-tag", "operations")
"""Health, metrics and schema are the same at every service."""


def short_round(urls: Mapping[str, str], tokens: Mapping[str, str]) -> Iterator[Outcome]:
    """All phases for the role that may do most at a service; a few requests for each other role."""
    for service in SERVICES:
        for role in ROLES:
            may_most = role == MOST_ALLOWED.get(service, Role.OPERATOR)
            yield run_schemathesis(
                service,
                urls[service],
                role=role,
                token=tokens.get(role),
                seed=SHORT_SEED,
                examples=2 if may_most else 1,
                phases=ALL_PHASES if may_most else "fuzzing",
                more=() if may_most and service == STOCK else WITHOUT_OPERATIONS,
            )


def long_round(stack: Stack, *, minutes: float, seed: int) -> Iterator[Outcome]:
    """All phases for every service and role, with an equal share of the time for each."""
    share_s = max(1, round(minutes * 60 / len(SERVICES) / len(ROLES)))
    tokens = Tokens(stack.servers.credentials.signing_key_file)
    for service in SERVICES:
        for number, role in enumerate(ROLES):
            token = None if role == ANONYMOUS else tokens.sign(_ACCOUNTS[role], Role(role))
            yield run_schemathesis(
                service,
                stack.url(service),
                role=role,
                token=token,
                seed=seed + number,
                examples=50,
                more=("--max-time", str(share_s)),
            )


_ACCOUNTS = {Role.STUDENT: "210041101", Role.KITCHEN: "kitchen-1", Role.OPERATOR: "operator-1"}


def report(outcomes: Iterator[Outcome]) -> bool:
    """Print each run as it ends, and a summary; true when all were clean."""
    began, cases, found = monotonic(), 0, []
    for outcome in outcomes:
        cases += outcome.cases
        verdict = "ok" if outcome.is_clean else "FINDINGS"
        _print(
            f"{outcome.service:13} {outcome.role:10} {outcome.cases:6} cases {outcome.took_s:6.1f} s  {verdict}"
        )
        if not outcome.is_clean:
            found.append(outcome)
            _print(outcome.report)
    _print(f"{cases} cases in {monotonic() - began:.0f} s; {len(found)} runs with findings.")
    for outcome in found:
        _print(f"  {outcome.service} as {outcome.role}, seed {outcome.seed}")
    return not found


async def fuzz_own_stack(*, minutes: float, seed: int) -> bool:
    with temporary_data_directory() as home:
        async with Stack(home, Plan(service_environments=ENVIRONMENTS)) as stack:
            _print(f"seed {seed}; about {minutes:g} minutes")
            is_clean = await asyncio.to_thread(report, long_round(stack, minutes=minutes, seed=seed))
            return report_logs(stack) and is_clean


def report_logs(stack: Stack) -> bool:
    """True unless a service has logged an unforeseen error, which its answer does not show."""
    errors = [
        f"{service}: {line}"
        for service in SERVICES
        for line in stack.log(service).splitlines()
        if _UNFORESEEN.search(line)
    ]
    _print(f"{len(errors)} requests logged as failed.")
    for line in errors[:20]:
        _print(line)
    return not errors


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="just fuzz", description="Fuzz all services through their published documents."
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="how long, without the start of the stack (10)"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeats a run: each run prints its seed")
    parser.add_argument(
        "--against", choices=["-"], help="one short round: JSON {urls, tokens} on standard input"
    )
    asked = parser.parse_args(argv)
    if asked.against:
        running = json.load(sys.stdin)
        return 0 if report(short_round(running["urls"], running["tokens"])) else 1
    seed = asked.seed if asked.seed is not None else SystemRandom().randrange(2**31)
    return 0 if asyncio.run(fuzz_own_stack(minutes=asked.minutes, seed=seed)) else 1


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
