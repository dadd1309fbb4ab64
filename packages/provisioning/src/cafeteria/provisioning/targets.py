"""Reads the servers' addresses and the administrator's credentials from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from cafeteria.provisioning import addresses
from cafeteria.provisioning.addresses import checked, host_and_port
from cafeteria.provisioning.credentials import ADMIN, Credentials
from cafeteria.provisioning.errors import SettingError

DEFAULT_STREAM_MAX_BYTES = 2 << 30
DATABASE = "cafeteria"
SUPERUSER = "postgres"


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The administrator's URLs with credentials. Without `monitor_url` the bootstrap cannot check NATS's flushing."""

    postgres_url: str = field(repr=False)
    nats_url: str = field(repr=False)
    monitor_url: str | None
    credentials: Credentials
    stream_max_bytes: int
    with_demo_data: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Targets":
        """Raises `SettingError` that names a missing or invalid variable."""
        postgres_url = read_postgres_url(environ)
        nats_url = read_nats_url(environ)
        monitor_url = read_monitor_url(environ)
        for name, url in (("CAFETERIA_POSTGRES_URL", postgres_url), ("CAFETERIA_NATS_URL", nats_url)):
            if url is None:
                raise SettingError(
                    f"{name} is not set: set it to the administrator's URL of a running server."
                )
        credentials = Credentials.ensure(secrets_folder(environ))
        return cls(
            postgres_url=postgres_admin_url(postgres_url or "", credentials),
            nats_url=nats_admin_url(nats_url or "", credentials),
            monitor_url=monitor_url,
            credentials=credentials,
            stream_max_bytes=stream_max_bytes(environ),
            with_demo_data=with_demo_data(environ),
        )


def secrets_folder(environ: Mapping[str, str]) -> Path:
    """Return CAFETERIA_SECRETS_DIR, or `secrets` in the data folder of a stack on this machine."""
    if folder := read_variable(environ, "CAFETERIA_SECRETS_DIR"):
        return Path(folder).absolute()
    return Path(environ.get("CAFETERIA_HOME") or ".cafeteria").absolute() / "secrets"


def read_postgres_url(environ: Mapping[str, str]) -> str | None:
    name = "CAFETERIA_POSTGRES_URL"
    return checked(name, read_variable(environ, name), addresses.POSTGRES)


def read_nats_url(environ: Mapping[str, str]) -> str | None:
    name = "CAFETERIA_NATS_URL"
    return checked(name, read_variable(environ, name), addresses.NATS)


def read_monitor_url(environ: Mapping[str, str]) -> str | None:
    """Return the URL without a trailing slash, so that a path can follow."""
    name = "CAFETERIA_NATS_MONITOR_URL"
    url = checked(name, read_variable(environ, name), addresses.MONITOR)
    return url.rstrip("/") if url else None


def postgres_admin_url(url: str, credentials: Credentials) -> str:
    """Add the administrator's user and password and the database's name to `url` where it lacks them."""
    parts = urlsplit(url)
    address = _address(parts, SUPERUSER, credentials.postgres_password(ADMIN), default_port=5432)
    path = parts.path.rstrip("/") or f"/{DATABASE}"
    return parts._replace(scheme="postgresql", netloc=address, path=path).geturl()


def nats_admin_url(url: str, credentials: Credentials) -> str:
    """Add the administrator's user and password to `url` where it lacks them."""
    return f"nats://{_address(urlsplit(url), ADMIN, credentials.nats_password(ADMIN), default_port=4222)}"


def _address(parts: SplitResult, user: str, password: str, *, default_port: int) -> str:
    """Return the URL's authority part with user and password percent-encoded."""
    host = host_and_port(parts, default_port=default_port)
    return f"{_quoted(parts.username or user)}:{_quoted(parts.password or password)}@{host}"


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def without_credentials(url: str) -> str:
    """Return the URL for a service: host, port and path without credentials and parameters."""
    parts = urlsplit(url)
    return parts._replace(netloc=host_and_port(parts, default_port=5432), query="").geturl()


def stream_max_bytes(environ: Mapping[str, str]) -> int:
    text = read_variable(environ, "CAFETERIA_STREAM_MAX_BYTES")
    if text is None:
        return DEFAULT_STREAM_MAX_BYTES
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise SettingError(f"CAFETERIA_STREAM_MAX_BYTES must be a number of bytes, not {text!r}.")
    return int(text)


def with_demo_data(environ: Mapping[str, str], *, default: bool = False) -> bool:
    """Whether to add accounts with a published password; only a stack on one machine has them by `default`."""
    return read_flag(environ, "CAFETERIA_DEMO_DATA", default=default)


def read_flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return whether the variable is true. Raises `SettingError` for anything but true and false."""
    text = read_variable(environ, name) or str(default)
    if text.lower() not in {"true", "false"}:
        raise SettingError(f"{name} must be true or false, not {text!r}.")
    return text.lower() == "true"


def read_variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return the variable, or the content of the file that `<name>_FILE` names; empty text counts as unset.

    Raises `SettingError` for a file that cannot be read as UTF-8 text.
    """
    if value := environ.get(name):
        return value
    path = environ.get(f"{name}_FILE")
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None if path else None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"{name}_FILE names {path}, which cannot be read: {reason}.") from None
