"""Asks Postgres about each array type once per test process, where asyncpg asks on every new connection.

The answer is the same on all of them: the numbers of built-in types are fixed. The question costs Postgres 14 ms of processor
time, which is more than opening the connection, and tests open thousands. Services that run as processes ask as always.
"""

import contextlib
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

_FIRST_OWN_OID = (
    16_384  # FirstNormalObjectId of access/transam.h: what a database has defined itself begins here
)
_NO_STATEMENT = SimpleNamespace(
    name="known already"
)  # asyncpg prepares again what an unnamed question has displaced


@contextlib.contextmanager
def built_in_types_remembered() -> Iterator[None]:
    """Within it; the names that this replaces must exist, or it raises AttributeError."""
    ask = asyncpg.Connection._introspect_types  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way to hand types over
    known: dict[frozenset[int], Any] = {}

    async def ask_once(
        connection: "asyncpg.Connection[Any]", type_oids: Iterable[int], timeout: float | None
    ) -> tuple[Any, Any]:
        wanted = frozenset(type_oids)
        if wanted in known:
            return known[wanted], _NO_STATEMENT
        types, statement = await ask(connection, type_oids, timeout)
        if max(wanted) < _FIRST_OWN_OID:
            known[wanted] = types
        return types, statement

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.Connection, "_introspect_types", ask_once)
        yield
