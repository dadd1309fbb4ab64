"""Import students: all lines of a file become accounts in one transaction, or none does.

Passwords are hashed before the transaction begins, because that takes minutes. Accounts that exist are never changed.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.identity.password_hashing import hash_password
from cafeteria.identity.repository import import_students
from cafeteria.identity.repository.import_students import NewAccount

BATCH_ROWS = (
    1000  # a statement of it takes some 30 ms; one of 50,000 rows would near the statement's time limit
)


def hash_all(passwords: Sequence[str], *, threads: int) -> Iterator[str]:
    """Yield the hashes in order. An exception in the caller drops the passwords that wait."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
    try:
        yield from pool.map(hash_password, passwords)
    finally:
        pool.shutdown(cancel_futures=True)


class ImportStudents:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def existing_ids(self, student_ids: Collection[str]) -> set[str]:
        """Return those that have an account already."""
        async with self._database.statement() as connection:
            return await import_students.existing_ids(connection, student_ids)

    async def __call__(
        self, accounts: Sequence[NewAccount], *, before_commit: Callable[[set[str]], None]
    ) -> set[str]:
        """Store the accounts; return the student ids that were new.

        `before_commit` is called with these ids, and may raise to store nothing. DatabaseUnavailable means that the
        outcome is unknown if `before_commit` was called, and that nothing is stored if it was not.
        """
        at = now()
        in_lock_order = iter(sorted(accounts, key=_student_id))
        created: set[str] = set()
        async with self._database.transaction() as connection:
            while batch := list(islice(in_lock_order, BATCH_ROWS)):
                created |= await import_students.insert_accounts(connection, batch, now=at)
            before_commit(created)
        return created


def _student_id(account: NewAccount) -> str:
    return account.profile.student_id
