"""What runs until it is told to stop, and what only brings the schemas up to date: the commands that need servers."""

import asyncio
import contextlib
import logging
import signal
from dataclasses import replace

from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.supervised_process import STOP_GRACE_S
from cafeteria.local_stack.tasks import ended
from cafeteria.local_stack.terminal import Terminal
from cafeteria.local_stack.upkeep import Room, look_after
from cafeteria.provisioning.errors import StackError

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(command: str, home: DataDirectory) -> None:
    """`up` or `migrate`, as the environment asks for it. Raises `StackError`."""
    run_command = up if command == "up" else migrate
    asyncio.run(run_command(home, Plan.from_environment()))


async def up(home: DataDirectory, plan: Plan) -> None:
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
    home: DataDirectory, plan: Plan, terminal: Terminal, *, opened: asyncio.Event, told_to_stop: asyncio.Event
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


async def migrate(home: DataDirectory, plan: Plan) -> None:
    """Bring the data's schemas to the newest revisions, without starting any service."""
    with home.held():
        servers = Servers(home, plan, keep=False)
        try:
            await servers.start()
            from cafeteria.provisioning.bootstrap import prepare_schemas  # noqa: PLC0415 - as in `Stack`: not before it is needed

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
