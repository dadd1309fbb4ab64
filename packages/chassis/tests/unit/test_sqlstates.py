"""Every error class of the database is classified on purpose: as a fault of the database, or as none."""

import inspect

import asyncpg
import pytest
from sqlalchemy import exc

from cafeteria.chassis.database import sqlstates
from cafeteria.chassis.database.sqlstates import FAULTS, fault_of, sqlstate_of

DRIVER_ERRORS = {
    found.sqlstate: found
    for _, found in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(found, asyncpg.PostgresError) and getattr(found, "sqlstate", None)
}


def test_every_error_class_of_the_driver_has_a_decision() -> None:
    assert len(DRIVER_ERRORS) > 200
    assert {sqlstate[:2] for sqlstate in DRIVER_ERRORS} <= set(FAULTS)


def test_every_listed_sqlstate_exists() -> None:
    assert {sqlstate for sqlstate in FAULTS if len(sqlstate) > 2} <= set(DRIVER_ERRORS)


@pytest.mark.parametrize(
    ("sqlstate", "fault"),
    [
        ("25006", sqlstates.READ_ONLY),
        ("25P02", None),
        ("25P03", sqlstates.UNREACHABLE),
        ("26000", sqlstates.SESSION_RESET),
        ("28P01", sqlstates.REFUSED),
        ("3D000", sqlstates.REFUSED),
        ("40001", sqlstates.RETRYABLE),
        ("40P01", sqlstates.RETRYABLE),
        ("42P01", sqlstates.SCHEMA_MISMATCH),
        ("42P05", sqlstates.SESSION_RESET),
        ("53100", sqlstates.UNREACHABLE),
        ("55006", sqlstates.RETRYABLE),
        ("55P03", sqlstates.RETRYABLE),
        ("57014", sqlstates.UNREACHABLE),
        ("57P03", sqlstates.UNREACHABLE),
        ("22003", None),
        ("23505", None),
        ("XX001", None),
    ],
)
def test_a_sqlstate_means_the_same_however_the_error_is_wrapped(
    sqlstate: str, fault: sqlstates.DatabaseFault | None
) -> None:
    raised = DRIVER_ERRORS[sqlstate]("as the server says")
    translated = RuntimeError("as the dialect says")
    translated.__cause__ = raised
    wrapped = exc.DBAPIError("SELECT 1", {}, translated)
    assert fault_of(raised) is fault_of(wrapped) is fault
    assert sqlstate_of(raised) == sqlstate_of(wrapped) == sqlstate


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (
            asyncpg.InvalidCachedStatementError("cached plan must not change result type"),
            sqlstates.SCHEMA_CHANGED,
        ),
        (asyncpg.OutdatedSchemaCacheError("the type has changed"), sqlstates.SCHEMA_CHANGED),
        (asyncpg.InterfaceError("connection is closed"), sqlstates.UNREACHABLE),
        (ConnectionResetError(), sqlstates.UNREACHABLE),
        (TimeoutError(), sqlstates.UNREACHABLE),
        (asyncpg.FeatureNotSupportedError("not this"), None),
        (ValueError("mine"), None),
    ],
)
def test_errors_that_the_driver_raises_itself_are_classified(
    error: Exception, fault: sqlstates.DatabaseFault | None
) -> None:
    assert fault_of(error) is fault
    assert sqlstate_of(error) in {"", "0A000"}


def test_only_the_expected_faults_lose_the_connection_or_need_a_repair() -> None:
    repairs = {fault.detail for fault in FAULTS.values() if fault and fault.needs_repair}
    assert repairs == {sqlstates.REFUSED.detail, sqlstates.SCHEMA_MISMATCH.detail}
    lost = {sqlstates.UNREACHABLE, sqlstates.REFUSED, sqlstates.SESSION_RESET}
    assert {fault for fault in FAULTS.values() if fault and fault.loses_connection} == lost
