"""The commands that need servers: `up` runs the stack until a signal, `migrate` only updates the schemas."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from dataclasses import replace

import structlog

from cafeteria.local_stack import database_commands
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.supervised_process import STOP_GRACE_S
from cafeteria.local_stack.tasks import ended
from cafeteria.local_stack.terminal import Terminal
from cafeteria.local_stack.upkeep import DiskSpace, run_upkeep
from cafeteria.provisioning.errors import StackError

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(command: str, home: DataDirectory) -> None:
    """Run `up` or `migrate` with the settings of the environment. Raises `StackError`."""
    run_command = up if command == "up" else migrate
    asyncio.run(run_command(home, Plan.from_environment()))


def run_program(command: str, arguments: Sequence[str], home: DataDirectory) -> int:
    """Run a command of `database_commands.PROGRAMS` with the settings of the environment. Raises `StackError`."""
    return asyncio.run(database_commands.run_program(command, arguments, home, Plan.from_environment()))


async def up(home: DataDirectory, plan: Plan) -> None:
    """Run the stack until SIGINT, SIGTERM or SIGHUP. Raises `StackError` when a process cannot start."""
    terminal = Terminal()
    _log_to(terminal)
    stop_requested, opened = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop_requested.set)
    running = asyncio.create_task(_run(home, plan, terminal, opened=opened, stop_requested=stop_requested))
    stopping = asyncio.create_task(stop_requested.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done() and not opened.is_set():
        running.cancel()  # give up the start
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if not stop_requested.is_set():
        raise StackError("The stack ended without a signal. The data is kept: run `just up` again.")
    terminal.write(
        f"stopped: services and servers have ended; the data is in {home.root} for the next `just up`"
    )


async def _run(
    home: DataDirectory,
    plan: Plan,
    terminal: Terminal,
    *,
    opened: asyncio.Event,
    stop_requested: asyncio.Event,
) -> None:
    terminal.write(f"starting on {home.root}")
    disk_space = DiskSpace.of(home)
    disk_space.check()
    environment = {"CAFETERIA_LOG_FORMAT": "console", **plan.environment}
    async with contextlib.AsyncExitStack() as running:
        # the services are imported once, while the servers start
        fork_server = await running.enter_async_context(ForkServer())
        plan = replace(plan, environment=environment, fork_server=fork_server)
        stack = await running.enter_async_context(Stack(home, plan, echo_for=terminal.echo_for))
        opened.set()
        terminal.show_addresses(
            stack.url,
            pages=stack.pages,
            with_accounts=plan.with_demo_data,
            # else these addresses do not have it
            with_schema="CAFETERIA_INTERNAL_PORT_BASE" not in plan.environment,
        )
        upkeep = asyncio.create_task(run_upkeep(home, disk_space))
        await stop_requested.wait()
        terminal.write("stopping")
        await ended(upkeep)


async def migrate(home: DataDirectory, plan: Plan) -> None:
    """Migrate all schemas to the newest revisions without starting a service. Raises `StackError`."""
    with home.held():
        servers = Servers(home, plan, keep=False)
        try:
            await servers.start()
            from cafeteria.provisioning.bootstrap import prepare_schemas  # noqa: PLC0415 - a slow import, which an earlier error does not need

            await prepare_schemas(servers.targets())
        finally:
            await servers.stop(grace_s=STOP_GRACE_S)


def _log_to(terminal: Terminal) -> None:
    """Show the stack's own lines; of the chassis', which the demo controls use, those that are a warning."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    class TerminalHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.write(self.format(record))

    logger = logging.getLogger("cafeteria.local_stack")
    logger.handlers = [TerminalHandler()]
    logger.propagate = False
    logger.setLevel(logging.INFO)
