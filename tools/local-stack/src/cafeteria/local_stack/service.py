"""The command, environment and readiness of one service process."""

import contextlib
import sys
from collections.abc import Mapping

import httpx

from cafeteria.contracts.subjects import IDENTITY
from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Program
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.servers import Servers
from cafeteria.provisioning.errors import StackError

START_TIMEOUT_S = 60.0  # five interpreters that start at once on two slow cores
POLL_S = 0.05

_NOT_INHERITED = ("CAFETERIA_POSTGRES_PASSWORD", "CAFETERIA_NATS_PASSWORD", "CAFETERIA_PORT")
"""For one process each; and of a secret and the file that holds it only one may be set."""
_ADMINS_OWN = ("CAFETERIA_POSTGRES_URL_FILE", "CAFETERIA_NATS_URL_FILE", "CAFETERIA_HOST_FILE")
_LIBPQS = "PG"  # PGSSLMODE and its like belong to other databases of the person who starts this


def service_program(service: str, environment: Mapping[str, str]) -> Program:
    """A flood of logins would take both processors for hashing: identity yields, or orders would wait for it."""
    return Program(
        argv=(sys.executable, "-m", f"cafeteria.{service}"), env=environment, yields=service == IDENTITY
    )


def service_environment(
    service: str,
    *,
    inherited: Mapping[str, str],
    home: DataDirectory,
    servers: Servers,
    port: int,
    host: str = ports.HOST,
) -> dict[str, str]:
    """What the service is started with: the servers without credentials, its own secrets by file."""
    environment = {
        name: value
        for name, value in inherited.items()
        if name not in (*_NOT_INHERITED, *_ADMINS_OWN) and not name.startswith(_LIBPQS)
    }
    credentials = servers.credentials
    if service == IDENTITY:  # who only verifies has no use for it
        environment.setdefault("IDENTITY_SIGNING_KEY_FILE", str(credentials.signing_key_file))
    return {
        **environment,
        "CAFETERIA_HOME": str(home.root),
        "CAFETERIA_HOST": host,
        "CAFETERIA_PORT": str(port),
        "CAFETERIA_POSTGRES_URL": servers.postgres_url,
        "CAFETERIA_POSTGRES_PASSWORD_FILE": str(credentials.postgres_file(service)),
        "CAFETERIA_NATS_URL": servers.nats_url,
        "CAFETERIA_NATS_PASSWORD_FILE": str(credentials.nats_file(service)),
        "PYTHONUNBUFFERED": "1",
    }


async def wait_ready(name: str, child: Child, *, url: str, client: httpx.AsyncClient) -> None:
    """Return once the service says that it is ready. Raises `StackError` when it ended or takes too long."""
    answer = "nothing"

    async def is_decided() -> bool:
        nonlocal answer
        with contextlib.suppress(httpx.HTTPError):
            found = await client.get(f"{url}/health/ready")
            answer = found.text
            if found.status_code == httpx.codes.OK:
                return True
        return child.exit_code is not None

    is_in_time = await is_true_within(START_TIMEOUT_S, is_decided, poll_s=POLL_S)
    if child.exit_code is not None:
        raise StackError(f"{name} ended while it started, with exit code {child.exit_code}.")
    if not is_in_time:
        raise StackError(f"{name} was not ready within {START_TIMEOUT_S:.0f} s; it last said {answer}.")
