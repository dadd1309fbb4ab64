"""Runs a command of another package on the stack's database, whether the stack runs or not.

A running stack's database is used as it is; otherwise the servers run for as long as the command does.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from cafeteria.contracts.subjects import IDENTITY
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.postgres import running_port
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.service import service_environment
from cafeteria.local_stack.supervised_process import STOP_GRACE_S

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "import-students": ("cafeteria.identity.import_students",),
    "operator": ("cafeteria.provisioning.bootstrap", "--operator"),
    "student-data": ("cafeteria.provisioning.student_data",),
}
"""The module of each command, with its first arguments."""


async def run_program(command: str, arguments: Sequence[str], home: DataDirectory, plan: Plan) -> int:
    """Run a command of PROGRAMS on this terminal; return its exit code. Raises `StackError` if no database can start."""
    async with _database(home, plan) as servers:
        # Ctrl-C reaches the program too, which ends in its own way; then the servers stop
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *PROGRAMS[command], *arguments),
            env=_environment(command, home, plan, servers),
        )
        return await process.wait()


@asynccontextmanager
async def _database(home: DataDirectory, plan: Plan) -> AsyncIterator[Servers]:
    """Yield servers of which Postgres runs, with its tables."""
    port = running_port(home.postgres)
    if port or plan.postgres_url:
        yield Servers(home, replace(plan, postgres_port=port), keep=False)
        return
    from cafeteria.provisioning.bootstrap import prepare_schemas  # noqa: PLC0415 - a slow import

    with home.held():
        servers = Servers(home, plan, keep=False)
        try:
            await servers.start()
            await prepare_schemas(servers.targets())
            yield servers
        finally:
            await servers.stop(grace_s=STOP_GRACE_S)


def _environment(command: str, home: DataDirectory, plan: Plan, servers: Servers) -> dict[str, str]:
    if command == "import-students":
        return service_environment(IDENTITY, inherited=plan.environment, home=home, servers=servers, port=0)
    return {
        **plan.environment,
        "CAFETERIA_SECRETS_DIR": str(home.secrets),
        "CAFETERIA_POSTGRES_URL": servers.postgres_admin_url,
        "CAFETERIA_NATS_URL": servers.nats_admin_url,
    }
