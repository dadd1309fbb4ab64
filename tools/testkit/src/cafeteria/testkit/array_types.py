"""Caches asyncpg's query about array types for all connections of a test process.

The result is the same for all connections, because the oids of built-in types are fixed. The query costs Postgres 14
ms of processor time, more than the connection itself, and tests open thousands. Services in their own processes have
no cache.
"""

import contextlib
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

_FIRST_USER_OID = 16_384  # FirstNormalObjectId of access/transam.h: a database's own types begin here
_NO_STATEMENT = SimpleNamespace(name="cached")  # asyncpg prepares its query again if this one has no name


@contextlib.contextmanager
def built_in_types_cached() -> Iterator[None]:
    """Cache the types within the context. Raises AttributeError if asyncpg no longer has the replaced method."""
    query_types = asyncpg.Connection._introspect_types  # type: ignore[attr-defined]  # noqa: SLF001 - asyncpg has no public way to set types
    cached: dict[frozenset[int], Any] = {}

    async def query_once(
        connection: "asyncpg.Connection[Any]", type_oids: Iterable[int], timeout: float | None
    ) -> tuple[Any, Any]:
        oids = frozenset(type_oids)
        if oids in cached:
            return cached[oids], _NO_STATEMENT
        types, statement = await query_types(connection, type_oids, timeout)
        if max(oids) < _FIRST_USER_OID:
            cached[oids] = types
        return types, statement

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.Connection, "_introspect_types", query_once)
        yield
