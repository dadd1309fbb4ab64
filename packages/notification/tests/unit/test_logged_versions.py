"""The cache of logged versions holds the latest orders."""

from datetime import UTC, datetime
from uuid import UUID

from cafeteria.contracts.values import OrderStatus
from cafeteria.notification.domain import Status
from cafeteria.notification.logged_versions import LoggedVersions


def status(order: int, version: int) -> Status:
    return Status(
        order_id=UUID(int=order),
        student_id="210041101",
        status=OrderStatus.PENDING,
        version=version,
        at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


def test_with_too_many_orders_the_oldest_are_dropped() -> None:
    versions = LoggedVersions(orders_limit=10)
    for order in range(1, 12):
        versions.add([status(order, 1), status(order, 2)])
    assert versions.of(UUID(int=11)) == 0b110
    assert versions.of(UUID(int=1)) == 0


def test_after_a_clear_no_version_is_known() -> None:
    versions = LoggedVersions()
    versions.add([status(1, 1)])
    versions.clear()
    assert versions.of(UUID(int=1)) == 0
