"""`python -m cafeteria.local_stack up | reset | migrate`: the whole cafeteria on this machine."""

import argparse
import asyncio
import contextlib
import logging
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from cafeteria.local_stack.bootstrap import prepare_schemas
from cafeteria.local_stack.errors import StackError
from cafeteria.local_stack.home import Home
from cafeteria.local_stack.member import STOP_GRACE_S
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.postgres import remove_data
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.terminal import OWN_NAME, Terminal

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(home: Home, plan: Plan) -> None:
    """Run until a signal says stop. Raises `StackError` when something cannot start."""
    terminal = Terminal()
    _log_to(terminal)
    told_to_stop, opened = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, told_to_stop.set)
    running = asyncio.create_task(_run(home, plan, terminal, opened=opened, told_to_stop=told_to_stop))
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done() and not opened.is_set():
        running.cancel()  # give up the start
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _run(
    home: Home, plan: Plan, terminal: Terminal, *, opened: asyncio.Event, told_to_stop: asyncio.Event
) -> None:
    terminal.say(f"starting on {home.root}")
    environment = {"CAFETERIA_LOG_FORMAT": "console", **plan.environment}
    plan = replace(plan, environment=environment)
    async with Stack(home, plan, echo_for=terminal.echo_for) as stack:
        opened.set()
        terminal.show_addresses(stack)
        await told_to_stop.wait()
        terminal.say("stopping")


def reset(home: Home) -> None:
    """Wipe everything. Raises `StackError` while a stack runs on it."""
    if not home.root.exists():
        return
    with home.held():
        remove_data(home)
        for folder in (home.nats, home.logs, home.secrets):
            shutil.rmtree(folder, ignore_errors=True)


async def migrate(home: Home, plan: Plan) -> None:
    """Bring the data's schemas to the newest revisions, without starting any service."""
    with home.held():
        servers = Servers(home, plan, keep=False)
        try:
            await servers.start()
            await prepare_schemas(servers.targets())
        finally:
            await servers.stop(grace_s=STOP_GRACE_S)


def _log_to(terminal: Terminal) -> None:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.say(self.format(record))

    logger = logging.getLogger("cafeteria.local_stack")
    logger.handlers = [Lines()]
    logger.propagate = False
    logger.setLevel(logging.INFO)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cafeteria.local_stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start servers and services, and keep them running until Ctrl-C")
    commands.add_parser("reset", help="wipe the data")
    commands.add_parser("migrate", help="bring every schema to the newest migration")
    command = parser.parse_args(argv).command
    home = Home.from_environment()
    try:
        if command == "up":
            asyncio.run(up(home, Plan.from_environment()))
        elif command == "migrate":
            asyncio.run(migrate(home, Plan.from_environment()))
        else:
            reset(home)
            print(f"{home.root} is wiped.")  # noqa: T201 - this is a command line
    except StackError as error:
        print(f"{OWN_NAME}: {error}", file=sys.stderr)  # noqa: T201 - this is a command line
        return 1
    except PermissionError as error:
        advice = "start as the user who made it, or set CAFETERIA_HOME to a folder of yours"
        print(f"{OWN_NAME}: No access to {error.filename}: {advice}.", file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
