"""The command, the environment and the readiness check of a service process."""

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

_NOT_INHERITED = (
    "CAFETERIA_POSTGRES_PASSWORD",
    "CAFETERIA_NATS_PASSWORD",
    "CAFETERIA_PORT",
    "CAFETERIA_INTERNAL_PORT",
)
"""They differ per process; and a service accepts a secret or its file, but not both."""
_ADMINS_OWN = ("CAFETERIA_POSTGRES_URL_FILE", "CAFETERIA_NATS_URL_FILE", "CAFETERIA_HOST_FILE")
_LIBPQS = "PG"  # PGSSLMODE and similar variables are for the user's other databases


def service_program(service: str, environment: Mapping[str, str]) -> Program:
    """Return the service's program. Identity yields: hashing passwords for many logins would delay orders."""
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
    defaults: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the service's environment: the servers' URLs without credentials, and its own secrets as files.

    An inherited variable, or the file that an inherited one names, replaces its default.
    """
    environment = {
        name: value
        for name, value in inherited.items()
        if name not in (*_NOT_INHERITED, *_ADMINS_OWN) and not name.startswith(_LIBPQS)
    }
    for name, value in (defaults or {}).items():
        if environment.keys().isdisjoint((name, f"{name}_FILE")):
            environment[name] = value
    credentials = servers.credentials
    if service == IDENTITY:  # the others only verify tokens
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
    """Return once `/health/ready` answers 200. Raises `StackError` if the process ended, or after START_TIMEOUT_S."""
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
        raise StackError(
            f"{name} was not ready within {START_TIMEOUT_S:.0f} s; its last answer was {answer}."
        )
