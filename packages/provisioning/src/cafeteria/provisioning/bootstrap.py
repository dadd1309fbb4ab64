"""Prepares Postgres and NATS for the services: roles, schemas, tables, streams and durables.

    python -m cafeteria.provisioning.bootstrap --prepare FOLDER   write secrets and `nats.conf`
    python -m cafeteria.provisioning.bootstrap                    prepare both servers once
    python -m cafeteria.provisioning.bootstrap --watch            the same, then restore lost streams until stopped
    python -m cafeteria.provisioning.bootstrap --operator ID      create the first operator; needs no service

Every step creates or updates, so it may run at any time, and several runs may overlap.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg

from cafeteria.chassis.database.migrations import migrate
from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.demo_data import ensure_demo_data, published_accounts
from cafeteria.provisioning.errors import ServerUnavailableError, StackError
from cafeteria.provisioning.first_operator import make_operator, read_password
from cafeteria.provisioning.nats_config import NatsPlan, render
from cafeteria.provisioning.private_files import PRIVATE_FILE, PRIVATE_FOLDER, write_private
from cafeteria.provisioning.roles import ensure_database, ensure_roles
from cafeteria.provisioning.streams import BusAdmin, require_synchronous
from cafeteria.provisioning.targets import Targets, stream_max_bytes, without_credentials

SERVER_TIMEOUT_S = 60.0  # containers start in any order
RETRY_S = 0.5

logger = logging.getLogger(__name__)


async def prepare_database(targets: Targets) -> None:
    """Create roles, schemas, tables and, if the settings ask for it, demo data."""
    await prepare_schemas(targets)
    if targets.with_demo_data:
        await ensure_demo_data(targets.postgres_url)
    elif published := await published_accounts(targets.postgres_url):
        logger.warning(
            "%s can sign in with the published password of the demo data: disable them, or reset their passwords",
            " and ".join(published),
        )


async def prepare_schemas(targets: Targets) -> None:
    """Create roles and schemas, and migrate every service's tables to the newest revision.

    Raises `ServerUnavailableError` when Postgres does not answer, and `StackError` when it refuses the administrator.
    """
    address = without_credentials(targets.postgres_url)
    try:
        await ensure_database(targets.postgres_url)
        await ensure_roles(targets.postgres_url, password_of=targets.credentials.postgres_password)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
        raise ServerUnavailableError(f"Postgres at {address} does not answer: {error}.") from None
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise StackError(f"Postgres at {address} refused the administrator's login: {error}.") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise StackError(
            f"Postgres at {address} refuses this to the administrator, who needs CREATEROLE, and CREATEDB or an "
            f"empty database of their own: {error}."
        ) from None
    for service in SERVICES:
        await migrate(service, targets.postgres_url)


async def prepare_bus(targets: Targets) -> list[str]:
    """Create streams and durables; return the names of those created or changed."""
    if targets.monitor_url:
        await require_synchronous(targets.monitor_url)
    else:
        logger.warning(
            "whether NATS flushes each message before it acknowledges it is unknown: "
            "set CAFETERIA_NATS_MONITOR_URL to check it"
        )
    async with BusAdmin(targets.nats_url, stream_max_bytes=targets.stream_max_bytes) as admin:
        return await admin.ensure()


async def watch_bus(targets: Targets) -> None:
    """Restore missing streams and durables until cancelled; wait for a server that does not answer yet."""
    while True:
        try:
            async with BusAdmin(targets.nats_url, stream_max_bytes=targets.stream_max_bytes) as admin:
                await admin.watch()
        except ServerUnavailableError as error:
            logger.warning("%s", error)


def write_preparations(folder: Path, *, owner: tuple[int, int] | None) -> None:
    """Write secrets and `nats.conf` for containers, in which NATS listens on all addresses.

    `owner` is the uid and gid that the files belong to afterwards; None keeps this process's.
    """
    credentials = Credentials.ensure(folder)
    plan = NatsPlan(
        host="0.0.0.0",  # noqa: S104 - inside a container; compose decides which ports are published
        port=4222,
        monitor_port=8222,
        store=Path("/data"),
        stream_max_bytes=stream_max_bytes(os.environ),
        password_of=credentials.nats_password,
    )
    config = folder / "nats.conf"
    write_private(config, render(plan))
    written = (*credentials.files, config)
    for path in written:
        path.chmod(PRIVATE_FILE)
    if set(folder.iterdir()) == set(written):
        folder.chmod(PRIVATE_FOLDER)
    if owner:
        for path in (folder, *written):
            os.chown(path, *owner)


async def _run(*, watch: bool, ready_file: Path | None) -> None:
    """Prepare both servers. SIGTERM cancels it: in a container, the first process has no default action."""
    this_task = asyncio.current_task()
    if this_task:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this_task.cancel)
    targets = Targets.from_environment()
    await _retry_until_available(lambda: prepare_database(targets))
    await _retry_until_available(lambda: prepare_bus(targets))
    logger.info("database and bus are ready")
    if ready_file:
        await asyncio.to_thread(ready_file.touch)
    if watch:
        await watch_bus(targets)


async def _create_operator(student_id: str, *, password: str | None, is_forced: bool) -> None:
    """Prepare identity's tables, create the operator, and print the one-time password of one without a password."""
    targets = Targets.from_environment()
    await _retry_until_available(lambda: prepare_schemas(targets))
    one_time = await make_operator(targets, student_id, password=password, is_forced=is_forced)
    print(f"{student_id} is an operator now.")  # noqa: T201 - this is a command line
    if one_time:
        print(  # noqa: T201 - shown to a person at a terminal, and written nowhere
            f"The one-time password is {one_time.one_time_password} and is shown only now. It signs in together with "
            f"a new password, until {one_time.expires_at:%Y-%m-%d %H:%M} UTC."
        )


async def _retry_until_available(step: Callable[[], Awaitable[object]]) -> None:
    """Repeat `step` until its server answers. Raises `ServerUnavailableError` after SERVER_TIMEOUT_S."""
    deadline = time.monotonic() + SERVER_TIMEOUT_S
    while True:
        try:
            await step()
        except ServerUnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            return


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cafeteria.provisioning.bootstrap")
    parser.add_argument(
        "--prepare", type=Path, metavar="FOLDER", help="write secrets and nats.conf, then end"
    )
    parser.add_argument("--owner", metavar="UID:GID", help="with --prepare: the owner of those files")
    parser.add_argument("--watch", action="store_true", help="keep running and restore lost streams")
    parser.add_argument("--ready-file", type=Path, help="written once everything is ready, for health checks")
    parser.add_argument("--operator", metavar="ID", help="create the first operator, then end")
    parser.add_argument(
        "--password-file", metavar="FILE", help="with --operator: their password, `-` for the standard input"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --operator: although there is an operator or such an account",
    )
    return parser.parse_args(argv)


def _owner(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    uid, _, gid = text.partition(":")
    return int(uid), int(gid or uid)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="bootstrap: %(message)s")
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        if arguments.prepare:
            write_preparations(arguments.prepare, owner=_owner(arguments.owner))
        elif arguments.operator:
            password = read_password(arguments.password_file)
            asyncio.run(_create_operator(arguments.operator, password=password, is_forced=arguments.force))
        else:
            with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
                asyncio.run(_run(watch=arguments.watch, ready_file=arguments.ready_file))
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201 - one sentence for a person at a terminal
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
