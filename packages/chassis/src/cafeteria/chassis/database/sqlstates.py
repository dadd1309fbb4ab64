"""Classifies database errors: which mean that the database is unavailable, and which end the connection.

The table covers every class of SQLSTATE. None marks an error of the statement or its values: the caller handles it,
and an unexpected one is a bug, answered 500.
"""

from collections.abc import Mapping
from types import MappingProxyType

import asyncpg
import msgspec
from sqlalchemy import exc

from cafeteria.chassis.database.errors import UNREACHABLE_DETAIL


class DatabaseFault(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why the database is unavailable. `detail` is a sentence for a person.

    `loses_connection`: the connection is not used again, and nothing more is sent on it. `outdates_connections`: nor
    are those that were opened before. `needs_repair`: an operator must act, so it is logged at ERROR.
    """

    detail: str
    loses_connection: bool = False
    outdates_connections: bool = False
    needs_repair: bool = False


UNREACHABLE = DatabaseFault(detail=UNREACHABLE_DETAIL, loses_connection=True)
REFUSED = DatabaseFault(
    detail="The database does not let this service in just now.", loses_connection=True, needs_repair=True
)
READ_ONLY = DatabaseFault(detail="The database takes no changes just now.", outdates_connections=True)
RETRYABLE = DatabaseFault(detail="Others are changing the same rows of the database just now.")
SCHEMA_CHANGED = DatabaseFault(detail="The database was changed a moment ago.", outdates_connections=True)
SESSION_RESET = DatabaseFault(
    detail="The database was changed a moment ago.", loses_connection=True, outdates_connections=True
)
SCHEMA_MISMATCH = DatabaseFault(
    detail="The database does not hold what this service needs: its tables or rights have changed.",
    needs_repair=True,
)

FAULTS: Mapping[str, DatabaseFault | None] = MappingProxyType(
    {
        # Five characters are one code, two the rest of a class; in the order of the manual's appendix A.
        "00": None,  # success
        "01": None,  # a warning
        "02": None,  # no data
        "03": None,  # in embedded SQL only
        "08": UNREACHABLE,  # the connection is lost, or its protocol was violated
        "09": None,  # a trigger's own failure
        "0A": None,  # an unsupported feature; an outdated plan has its own type in the driver
        "0B": None,  # the code fixes how transactions begin
        "0F": None,  # large objects: not used
        "0L": None,  # grants are for migrations
        "0P": None,  # roles too
        "0Z": None,  # diagnostics of PL/pgSQL
        "10": None,  # an error inside XQuery
        "20": None,  # a CASE without a branch
        "21": None,  # a subquery with two rows
        "22": None,  # a value that its type does not accept
        "23": None,  # a constraint: the caller knows its meaning
        "24": None,  # cursors are not used
        "25": None,  # statements out of order inside a transaction
        "25006": READ_ONLY,  # a standby, a primary that becomes one, or an administrator made it read-only
        "25P03": UNREACHABLE,  # idle in a transaction for too long: the session has ended
        "25P04": UNREACHABLE,  # the transaction took too long: the same
        "26": SESSION_RESET,  # a prepared statement is gone: DISCARD ALL, or a pooler changed the session
        "27": None,  # triggers
        "28": REFUSED,  # a password changed, a role locked, pg_hba.conf
        "2B": None,  # grants
        "2D": None,  # the code fixes how transactions end
        "2F": None,  # functions
        "34": SESSION_RESET,  # a portal is gone, as with 26
        "38": None,  # functions
        "39": None,  # functions
        "3B": None,  # savepoints
        "3D": REFUSED,  # the database was renamed or dropped, or does not exist yet
        "3F": SCHEMA_MISMATCH,  # the schema was renamed or dropped, or does not exist yet
        "40": RETRYABLE,  # deadlock, conflict, a standby's recovery: rolled back, and may succeed next time
        "42": SCHEMA_MISMATCH,  # statements are fixed and tested: a missing name, type or right is the schema's
        "42P03": SESSION_RESET,  # the portal exists already: a pooler changed the session
        "42P05": SESSION_RESET,  # the prepared statement exists already, the same
        "44": None,  # a view's CHECK OPTION
        "53": UNREACHABLE,  # no memory, no disk, no connections
        "54": None,  # over a limit of Postgres: columns, arguments, depth
        "55": None,  # an object is not in the state that the statement needs
        "55006": RETRYABLE,  # another session uses the object, as an ALTER does
        "55P03": RETRYABLE,  # another session held the lock for longer than lock_timeout
        "57": UNREACHABLE,  # shut down, starting, cancelled; a statement's time-out too: another session holds its rows
        "58": UNREACHABLE,  # a disk or file of the server fails
        "72": UNREACHABLE,  # the snapshot is too old: read again (before Postgres 17)
        "F0": REFUSED,  # the server cannot read its configuration
        "HV": None,  # foreign tables are not used
        "P0": None,  # PL/pgSQL raised it on purpose
        "XX": None,  # a fault of Postgres or damaged data: waiting does not help, an operator must act
    }
)


def fault_of(error: BaseException) -> DatabaseFault | None:
    """Return why the database is unavailable, or None if the error is about the statement."""
    if isinstance(error, exc.InterfaceError) or getattr(error, "connection_invalidated", False):
        return UNREACHABLE
    cause = driver_error(error)
    if isinstance(cause, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return SCHEMA_CHANGED
    # The driver raises InternalClientError if the server ended the session while the connection is still open.
    if isinstance(cause, exc.TimeoutError | OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return UNREACHABLE
    sqlstate = sqlstate_of(cause)
    return FAULTS.get(sqlstate, FAULTS.get(sqlstate[:2]))


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE of a server error, or an empty string for any other error."""
    return getattr(driver_error(error), "sqlstate", None) or ""


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error, without SQLAlchemy's two wrappers."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
