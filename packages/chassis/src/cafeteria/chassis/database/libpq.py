"""Explicit arguments for every connection to Postgres, so that libpq's environment variables have no effect.

For each missing argument asyncpg reads PGSSLMODE, PGTARGETSESSIONATTRS and others, and certificates in the home folder.
Callers pass host, port, user, password and database beside these.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DEFAULT_PORT = 5432

EXPLICIT_ARGUMENTS: Mapping[str, Any] = MappingProxyType(
    {
        "ssl": False,
        "direct_tls": False,
        "target_session_attrs": "any",
        "krbsrvname": "postgres",
        "gsslib": "gssapi",
    }
)
