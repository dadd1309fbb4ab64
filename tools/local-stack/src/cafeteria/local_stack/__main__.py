"""`python -m cafeteria.local_stack up | reset | migrate`: the whole cafeteria on this machine."""

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from cafeteria.local_stack.bootstrap import prepare_schemas
from cafeteria.local_stack.errors import SettingError, StackError
from cafeteria.local_stack.home import Home
from cafeteria.local_stack.member import STOP_GRACE_S
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.tasks import ended
from cafeteria.local_stack.terminal import OWN_NAME, Terminal
from cafeteria.local_stack.upkeep import Room, look_after

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DESCRIPTORS = 65_536  # children inherit it: a store has many files, a service many streams
_PRIVATE_UMASK = 0o077
_NO_ROOM = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "your share of its disk is used up",
    errno.EROFS: "its disk is read-only",
}


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
    if not told_to_stop.is_set():
        raise StackError("The stack ended by itself.")
    terminal.say(
        f"stopped: services and servers have ended; the data is in {home.root} for the next `just up`"
    )


async def _run(
    home: Home, plan: Plan, terminal: Terminal, *, opened: asyncio.Event, told_to_stop: asyncio.Event
) -> None:
    terminal.say(f"starting on {home.root}")
    room = Room.of(home)
    room.look()
    environment = {"CAFETERIA_LOG_FORMAT": "console", **plan.environment}
    plan = replace(plan, environment=environment)
    async with Stack(home, plan, echo_for=terminal.echo_for) as stack:
        opened.set()
        terminal.show_addresses(stack)
        upkeep = asyncio.create_task(look_after(home, room))
        await told_to_stop.wait()
        terminal.say("stopping")
        await ended(upkeep)


def reset(home: Home) -> None:
    """Remove the data. Raises `StackError` while a stack runs on it, or where it is not the stack's."""
    kept = home.wipe()
    print(f"{home.root} is wiped.")  # noqa: T201 - this is a command line
    for path in kept:
        print(f"{path} was not made by the stack, and stays.")  # noqa: T201 - the same


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
    _prepare_process()
    home = Home.from_environment()
    try:
        if command == "up":
            asyncio.run(up(home, Plan.from_environment()))
        elif command == "migrate":
            asyncio.run(migrate(home, Plan.from_environment()))
        else:
            reset(home)
    except StackError as error:
        return _refused(str(error), error.exit_code)
    except PermissionError as error:
        advice = "start as the user who made it, or set CAFETERIA_HOME to a folder of yours"
        return _refused(f"No access to {error.filename}: {advice}.", SettingError.exit_code)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        place = error.filename or home.root
        return _refused(f"Cannot write to {place}: {_NO_ROOM[error.errno]}.", StackError.exit_code)
    return 0


def _refused(sentence: str, exit_code: int) -> int:
    print(f"{OWN_NAME}: {sentence}", file=sys.stderr)  # noqa: T201 - this is a command line
    return exit_code


def _prepare_process() -> None:
    """For this process and its children: files for their owner alone, and as many descriptors as it may have."""
    os.umask(_PRIVATE_UMASK)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a system may have a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
