"""What each error of the database means: every class is decided, and none by accident."""

import inspect

import asyncpg
import pytest
from sqlalchemy import exc

from cafeteria.chassis.database import sqlstates
from cafeteria.chassis.database.sqlstates import TROUBLES, sqlstate_of, trouble_of

DRIVERS_OWN = {
    found.sqlstate: found
    for _, found in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(found, asyncpg.PostgresError) and getattr(found, "sqlstate", None)
}


def test_every_class_that_the_driver_knows_is_decided() -> None:
    assert len(DRIVERS_OWN) > 200
    assert {sqlstate[:2] for sqlstate in DRIVERS_OWN} <= set(TROUBLES)


def test_a_code_that_stands_for_itself_exists() -> None:
    assert {sqlstate for sqlstate in TROUBLES if len(sqlstate) > 2} <= set(DRIVERS_OWN)


@pytest.mark.parametrize(
    ("sqlstate", "trouble"),
    [
        ("25006", sqlstates.READ_ONLY),
        ("25P02", None),
        ("25P03", sqlstates.AWAY),
        ("26000", sqlstates.FORGOTTEN),
        ("28P01", sqlstates.REFUSED),
        ("3D000", sqlstates.REFUSED),
        ("40001", sqlstates.OVERTAKEN),
        ("40P01", sqlstates.OVERTAKEN),
        ("42P01", sqlstates.UNFIT),
        ("42P05", sqlstates.FORGOTTEN),
        ("53100", sqlstates.AWAY),
        ("55006", sqlstates.OVERTAKEN),
        ("55P03", sqlstates.OVERTAKEN),
        ("57014", sqlstates.AWAY),
        ("57P03", sqlstates.AWAY),
        ("22003", None),
        ("23505", None),
        ("XX001", None),
    ],
)
def test_what_a_code_means_is_the_same_whoever_has_wrapped_the_error(
    sqlstate: str, trouble: sqlstates.Trouble | None
) -> None:
    raised = DRIVERS_OWN[sqlstate]("as the server says")
    translated = RuntimeError("as the dialect says")
    translated.__cause__ = raised
    wrapped = exc.DBAPIError("SELECT 1", {}, translated)
    assert trouble_of(raised) is trouble_of(wrapped) is trouble
    assert sqlstate_of(raised) == sqlstate_of(wrapped) == sqlstate


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (asyncpg.InvalidCachedStatementError("cached plan must not change result type"), sqlstates.CHANGED),
        (asyncpg.OutdatedSchemaCacheError("the type has changed"), sqlstates.CHANGED),
        (asyncpg.InterfaceError("connection is closed"), sqlstates.AWAY),
        (ConnectionResetError(), sqlstates.AWAY),
        (TimeoutError(), sqlstates.AWAY),
        (asyncpg.FeatureNotSupportedError("not this"), None),
        (ValueError("mine"), None),
    ],
)
def test_what_the_driver_raises_by_itself(error: Exception, trouble: sqlstates.Trouble | None) -> None:
    assert trouble_of(error) is trouble
    assert sqlstate_of(error) in {"", "0A000"}


def test_nothing_more_is_sent_on_a_connection_that_is_lost_and_only_repairs_are_logged() -> None:
    repairs = {trouble.detail for trouble in TROUBLES.values() if trouble and trouble.needs_repair}
    assert repairs == {sqlstates.REFUSED.detail, sqlstates.UNFIT.detail}
    lost = {sqlstates.AWAY, sqlstates.REFUSED, sqlstates.FORGOTTEN}
    assert {trouble for trouble in TROUBLES.values() if trouble and trouble.loses_connection} == lost
