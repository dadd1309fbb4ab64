"""What every connection to Postgres states by itself, so that libpq's environment variables have no say in it.

asyncpg asks PGSSLMODE, PGTARGETSESSIONATTRS and others, and reads certificates in the home folder, for every argument
that is missing. Host, port, user, password and database have to be given beside these.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DEFAULT_PORT = 5432

STATED: Mapping[str, Any] = MappingProxyType(
    {
        "ssl": False,
        "direct_tls": False,
        "target_session_attrs": "any",
        "krbsrvname": "postgres",
        "gsslib": "gssapi",
    }
)
