"""Which errors mean that the database is unavailable, and what happens to the connection after each.

The table classifies every class of SQLSTATE. None means that the error is about the statement or its values: the
caller handles it, and an error that no caller expects is a bug, which is answered with 500.
"""

from collections.abc import Mapping
from types import MappingProxyType

import asyncpg
import msgspec
from sqlalchemy import exc


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A reason why the database is unavailable. `detail` is a sentence for a person.

    `loses_connection`: this connection is not used again, and nothing more is sent on it. `outdates_connections`: the
    connections that were opened before are not used again. `needs_repair`: an operator must act, so a log line at
    ERROR reports it.
    """

    detail: str
    loses_connection: bool = False
    outdates_connections: bool = False
    needs_repair: bool = False


AWAY = Trouble(detail="The database does not answer just now.", loses_connection=True)
REFUSED = Trouble(
    detail="The database does not let this service in just now.", loses_connection=True, needs_repair=True
)
READ_ONLY = Trouble(detail="The database takes no changes just now.", outdates_connections=True)
OVERTAKEN = Trouble(detail="Others are changing the same rows of the database just now.")
CHANGED = Trouble(detail="The database was changed a moment ago.", outdates_connections=True)
FORGOTTEN = Trouble(
    detail="The database was changed a moment ago.", loses_connection=True, outdates_connections=True
)
UNFIT = Trouble(
    detail="The database does not hold what this service needs: its tables or rights have changed.",
    needs_repair=True,
)

TROUBLES: Mapping[str, Trouble | None] = MappingProxyType(
    {
        # Five characters are one code, two the rest of its class; in the order of the manual's appendix A.
        "00": None,  # success
        "01": None,  # a warning
        "02": None,  # no data
        "03": None,  # only in embedded SQL
        "08": AWAY,  # the connection is lost, or its data was not understood
        "09": None,  # a trigger's own failure
        "0A": None,  # an unsupported feature; for a plan that no longer fits the driver has a type of its own
        "0B": None,  # the code begins transactions
        "0F": None,  # large objects: not used
        "0L": None,  # grants are for migrations
        "0P": None,  # roles too
        "0Z": None,  # diagnostics of PL/pgSQL
        "10": None,  # an error inside XQuery
        "20": None,  # a CASE without a branch
        "21": None,  # a subquery with two rows
        "22": None,  # a value that its type does not accept
        "23": None,  # a constraint: the caller knows what it means
        "24": None,  # cursors are not used
        "25": None,  # statements out of order inside a transaction
        "25006": READ_ONLY,  # a standby, a primary that becomes one, or an administrator's setting
        "25P03": AWAY,  # idle in a transaction for too long: the session has ended
        "25P04": AWAY,  # the transaction took too long: the same
        "26": FORGOTTEN,  # a prepared statement is gone: DISCARD ALL, or a pooler changed the session
        "27": None,  # triggers
        "28": REFUSED,  # a password changed, a role locked, pg_hba.conf
        "2B": None,  # grants
        "2D": None,  # the code ends transactions
        "2F": None,  # functions
        "34": FORGOTTEN,  # a portal is gone, as with 26
        "38": None,  # functions
        "39": None,  # functions
        "3B": None,  # savepoints
        "3D": REFUSED,  # the database was renamed or dropped, or does not exist yet
        "3F": UNFIT,  # the schema was renamed or dropped, or does not exist yet
        "40": OVERTAKEN,  # deadlock, conflict, a standby's recovery: rolled back, and may succeed next time
        "42": UNFIT,  # statements are fixed and tested: a missing name, type or right is the schema's fault
        "42P03": FORGOTTEN,  # the portal exists already: a pooler changed the session
        "42P05": FORGOTTEN,  # the prepared statement exists already, the same
        "44": None,  # a view's CHECK OPTION
        "53": AWAY,  # no memory, no disk, no connections
        "54": None,  # over a limit of Postgres: columns, arguments, depth
        "55": None,  # an object is in another state than the statement needs
        "55006": OVERTAKEN,  # another session uses the object, as an ALTER does
        "55P03": OVERTAKEN,  # another session held the lock for longer than lock_timeout
        "57": AWAY,  # shut down, starting, stopping; also a statement's time-out: another session holds its rows
        "58": AWAY,  # its disk or its files
        "72": AWAY,  # a snapshot too old: read again (before Postgres 17)
        "F0": REFUSED,  # its configuration cannot be read
        "HV": None,  # foreign tables are not used
        "P0": None,  # PL/pgSQL raised it on purpose
        "XX": None,  # a fault of Postgres or damaged data: waiting does not help, an operator must look
    }
)


def trouble_of(error: BaseException) -> Trouble | None:
    """Classify an error; None if it is about the statement and not about the database."""
    if isinstance(error, exc.InterfaceError) or getattr(error, "connection_invalidated", False):
        return AWAY
    cause = driver_error(error)
    if isinstance(cause, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return CHANGED
    # The driver raises an internal error when the server has announced its end on a connection that is still open.
    if isinstance(cause, exc.TimeoutError | OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return AWAY
    sqlstate = sqlstate_of(cause)
    return TROUBLES.get(sqlstate, TROUBLES.get(sqlstate[:2]))


def sqlstate_of(error: BaseException) -> str:
    """The SQLSTATE of an error; empty if the error is not the server's."""
    return getattr(driver_error(error), "sqlstate", None) or ""


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy wraps twice."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
