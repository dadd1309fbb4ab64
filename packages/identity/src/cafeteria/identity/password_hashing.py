"""Hash passwords with argon2id, in a few threads of low priority behind a bounded, fair queue.

A hash costs tens of milliseconds of one core and 19 MiB, on purpose. So there are no more threads than cores, they
yield to everything else on the machine, and a full queue refuses at once: a flood of logins delays logins, not
orders. The queue serves shares in turn: a flood from one network delays the logins of that network, not of others.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from enum import Enum
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.identity.domain import password_form
from cafeteria.identity.fair_queue import FairQueue, Share

MEMORY_KIB = 19 * 1024  # with the next two: OWASP's smallest recommended argon2id, 20-45 ms a hash
PASSES = 2
PARALLELISM = 1
RETRY_AFTER_S = 2  # two cores empty a full queue of the default length in about this time

SIGNED_IN = Share(name="signed in", is_known=True)
"""The share of signed-in people who store a new password."""

HASH_SECONDS = metrics.histogram(
    "cafeteria_identity_hash_seconds",
    "Time from the request for a password hash to its result, after the wait in the queue",
)
QUEUE_SECONDS = metrics.histogram(
    "cafeteria_identity_hash_queue_seconds",
    "Time that a login or registration waited in the queue until its turn",
)
HASHES_REFUSED = metrics.counter(
    "cafeteria_identity_hashes_refused_total",
    "Logins and registrations refused because the hash queue was full",
)

P = ParamSpec("P")
T = TypeVar("T")


def _new_hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)


def hash_password(password: str) -> str:
    """Hash in the calling thread, for commands: the first login then does not hash the password again."""
    return _new_hasher().hash(password_form(password))


def is_password_of(password: str, password_hash: str) -> bool:
    """Compare in the calling thread, for commands."""
    try:
        return _new_hasher().verify(password_hash, password_form(password))
    except (VerificationError, InvalidHashError):
        return False


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Match(Enum):
    """Whether a password belongs to a hash. OUTDATED: it does, and the hash has other parameters or another form than new ones."""

    NO = "no"
    YES = "yes"
    OUTDATED = "outdated"


class PasswordHashing:
    """The hashing threads and their queue. Use it inside `async with`."""

    def __init__(self, *, threads: int, queue_limit: int, niceness: int) -> None:
        self._hasher = _new_hasher()
        # For each thread one login beyond the one that it hashes has its turn: its attempt is counted meanwhile, so that
        # no thread waits for the database.
        ahead = min(threads, queue_limit)
        self._free_slots = threads + ahead
        self._queue = FairQueue[asyncio.Future[None]](limit=queue_limit - ahead)
        self._threads = ThreadPoolExecutor(
            threads, thread_name_prefix="argon2", initializer=_lower_priority, initargs=(niceness,)
        )
        self._decoy_hash = ""

    async def __aenter__(self) -> Self:
        """Make the hash with which the passwords of unknown ids are compared."""
        self._decoy_hash = await self._in_thread(self._hasher.hash, os.urandom(16).hex())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let running hashes finish, and drop the queued ones."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @asynccontextmanager
    async def slot(self, share: Share = SIGNED_IN) -> AsyncIterator[None]:
        """Wait for the turn of `share`, and hold a slot for the hashes in the block. Raises Overloaded.

        That happens at once or while it waits: when the queue is full, the newest of the longest line has to go.
        """
        with QUEUE_SECONDS.metric().time():
            await self._wait_for_turn(share)
        try:
            yield
        finally:
            self._free_slot()

    async def _wait_for_turn(self, share: Share) -> None:
        if self._free_slots:
            self._free_slots -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        refused = self._queue.push(turn, share)
        if refused is not None and not refused.done():
            refused.set_exception(_refusal())
        try:
            await turn
        except asyncio.CancelledError:
            self._give_back(turn, share)
            raise

    def _give_back(self, turn: asyncio.Future[None], share: Share) -> None:
        """Leave the queue; a slot that was given in the same moment goes to the next."""
        if turn.cancelled():
            self._queue.remove(turn, share)
        elif turn.exception() is None:
            self._free_slot()

    def _free_slot(self) -> None:
        """Give the slot to the entry whose turn it is; one that was cancelled in the same moment takes none."""
        while self._queue:
            turn = self._queue.pop()
            if not turn.done():
                turn.set_result(None)
                return
        self._free_slots += 1

    async def hash(self, password: str) -> str:
        """Call it within a `slot`."""
        return await self._in_thread(self._hasher.hash, password_form(password))

    async def match(self, password: str, password_hash: str | None) -> Match:
        """Compare a password with a hash; without a hash, for an unknown id, it takes the same time. Call it within a `slot`."""
        match = await self._in_thread(self._match, password_hash or self._decoy_hash, password)
        return Match.NO if password_hash is None else match

    def _match(self, password_hash: str, password: str) -> Match:
        """Try the password as it was sent, too, if its form differs: version 0.1 hashed that."""
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


def _refusal() -> Overloaded:
    HASHES_REFUSED.metric().inc()
    return Overloaded(
        "Too many people sign in at this moment; nothing was tried.", retry_after_s=RETRY_AFTER_S
    )


def _lower_priority(niceness: int) -> None:
    """Lower the thread's priority on Linux only: elsewhere a priority belongs to the whole process."""
    if niceness and sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
