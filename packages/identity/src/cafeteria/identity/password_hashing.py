"""Passwords become argon2id hashes in a few threads of low priority; whoever finds no place there is told at once.

A hash costs tens of milliseconds of one core and 19 MiB, on purpose. So there are no more threads than cores, they
yield to everything else on the machine, and the queue before them is bounded: a flood of logins costs the flood,
not the orders.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.identity.domain import password_form

MEMORY_KIB = 19 * 1024  # with two passes and one lane: OWASP's smallest recommended argon2id, 20-45 ms a hash
PASSES = 2
LANES = 1
RETRY_AFTER_S = 2  # a full queue of the default length is worked off in about that time on two cores

HASH_SECONDS = metrics.histogram(
    "cafeteria_identity_hash_seconds", "From the request for a password hash to its result, queueing included"
)
HASHES_REFUSED = metrics.counter(
    "cafeteria_identity_hashes_refused_total",
    "Logins and registrations refused because the hash queue was full",
)

P = ParamSpec("P")
T = TypeVar("T")


class Match(Enum):
    """Whether a password is the one that was hashed. OUTDATED: it is, and should be hashed again as of today."""

    NO = "no"
    YES = "yes"
    OUTDATED = "outdated"


class Passwords:
    """The hashing threads and the places before them. Close it with `async with passwords.running()`."""

    def __init__(self, *, threads: int, queue_limit: int, niceness: int) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._places = threads + queue_limit
        self._taken = 0
        self._threads = ThreadPoolExecutor(
            threads, thread_name_prefix="argon2", initializer=_lower_priority, initargs=(niceness,)
        )
        self._nobodys_hash = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Passwords"]:
        """Make the hash that passwords of unknown ids are held against; at the end let running hashes finish."""
        try:
            self._nobodys_hash = await self._in_thread(self._hasher.hash, os.urandom(16).hex())
            yield self
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the hashes within. Raises Overloaded at once when all are taken."""
        if self._taken >= self._places:
            HASHES_REFUSED.metric().inc()
            raise Overloaded(
                "Too many people sign in at this moment; nothing was tried.", retry_after_s=RETRY_AFTER_S
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def hash(self, password: str) -> str:
        """Call it within a `place`."""
        return await self._in_thread(self._hasher.hash, password_form(password))

    async def match(self, password: str, password_hash: str | None) -> Match:
        """Take as long without a hash, as for an unknown id, as with one. Call it within a `place`."""
        match = await self._in_thread(self._match, password_hash or self._nobodys_hash, password)
        return Match.NO if password_hash is None else match

    def _match(self, password_hash: str, password: str) -> Match:
        """Up to version 0.1 hashes were made of what was sent, so where that differs it is tried too."""
        form = password_form(password)
        if self._verify(password_hash, form):
            return Match.OUTDATED if self._hasher.check_needs_rehash(password_hash) else Match.YES
        if form != password and self._verify(password_hash, password):
            return Match.OUTDATED
        return Match.NO

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with HASH_SECONDS.metric().time():
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: function(*args, **kwargs)
            )


def _lower_priority(niceness: int) -> None:
    """On Linux priority belongs to the thread; elsewhere this would slow the whole service, so it is not done."""
    if niceness and sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
