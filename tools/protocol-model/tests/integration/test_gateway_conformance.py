"""The gateway's repositories do to Postgres what the model's tables do, operation by operation."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.stock import Decision, ItemPrice, StockDecided, StockReleased
from cafeteria.contracts.subjects import GATEWAY, KITCHEN, NOTIFICATION
from cafeteria.contracts.values import STATUS_VERSIONS, Line, OrderStatus, OrderVersion, RejectionReason
from cafeteria.gateway.answers import settlement
from cafeteria.gateway.domain import NewOrder, Placing, StoredOrder, Verdict, as_pending, judge, path_of
from cafeteria.gateway.repository import check_delivery, purge_keys, reconcile_delivery, release_cancelled
from cafeteria.gateway.repository import receive_orders as receive_sql
from cafeteria.gateway.repository import settle_orders as settle_sql
from cafeteria.gateway.tables import outbox
from cafeteria.gateway.use_cases.project_statuses import ProjectStatuses
from cafeteria.gateway.use_cases.retry_pending import RetryPending
from cafeteria.protocol_model.gateway_tables import GatewayTables
from cafeteria.protocol_model.reconciliation import reconcile

if TYPE_CHECKING:
    from conftest import Environment

STUDENT = "210041101"
NOBODY_LACKS: dict[str, Any] = {KITCHEN: (), NOTIFICATION: ()}

_TIMES = """
SELECT id, updated_at, next_ask_at, next_check_at, kitchen_seen_at, notified_version, released_at FROM gateway.orders
"""
_KEYS = "SELECT key, order_id, request_hash FROM gateway.idempotency_keys"


class Side:
    """What the model and the repositories have in common: the values that a scenario's names stand for."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.id_of, self.name_of, self.now = environment.id_of, environment.name_of, environment.now

    def placing(self, name: str, key: str) -> Placing:
        line = Line(item_id=self.id_of("haleem"), quantity=2)
        order = NewOrder(id=self.id_of(name), student_id=STUDENT, lines=(line,))
        return Placing(order=order, key=key, request_hash=name.encode())

    def verdict(self, order: StoredOrder, reason: RejectionReason | None) -> Verdict:
        price = ItemPrice(item_id=self.id_of("haleem"), name="Haleem", unit_price=Decimal("120.00"))
        decided = StockDecided(
            order_id=order.id,
            decision=Decision.REJECTED if reason else Decision.RESERVED,
            reason=reason,
            items=() if reason else (price,),
        )
        return judge(as_pending(order), decided, at=self.now())

    def event(self, name: str, status: OrderStatus, order: StoredOrder | None) -> OrderStatusChanged:
        version = STATUS_VERSIONS[status]
        return OrderStatusChanged(
            order_id=self.id_of(name),
            student_id=STUDENT,
            status=status,
            version=version,
            at=self.now(),
            earlier=() if order is None else path_of(order.status_times, below=version),
        )

    def released(self, name: str) -> StockReleased:
        return StockReleased(order_id=self.id_of(name), released_at=self.now())

    def asked(self, versions: dict[str, int]) -> list[OrderVersion]:
        return [OrderVersion(order_id=self.id_of(name), version=each) for name, each in versions.items()]


class Model(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tables = GatewayTables(environment.scheduler)

    async def receive(self, **keys: str) -> list[tuple[str, bool]]:
        received = self.tables.receive([self.placing(name, key) for name, key in keys.items()])
        return [(self.name_of(each.found.order.id), each.is_new) for each in received]

    async def settle(self, *names: str, reason: RejectionReason | None = None) -> dict[str, Any]:
        orders = [self.tables.find_order(self.id_of(name)) for name in names]
        self.tables.settle([self.verdict(order, reason) for order in orders])
        return {name: self.tables.find_answer(self.id_of(name)) for name in names}

    async def project(self, *statuses: tuple[str, OrderStatus]) -> None:
        rows = self.tables.orders
        orders = {
            name: rows[self.id_of(name)].stored if self.id_of(name) in rows else None for name, _ in statuses
        }
        self.tables.project([self.event(name, status, orders[name]) for name, status in statuses])

    async def find_missing(self, **versions: int) -> list[OrderVersion]:
        return sorted(self.tables.find_missing(self.asked(versions)), key=lambda each: each.order_id)

    async def retry_pending(self) -> list[str]:
        return sorted(self.name_of(order.id) for order in self.tables.claim_undecided(self.now()))

    async def claim_unreleased(self) -> list[str]:
        return sorted(map(self.name_of, self.tables.claim_unreleased(self.now())))

    async def mark_released(self, *names: str) -> None:
        for name in names:
            self.tables.mark_released(self.released(name))

    async def purge_keys(self, *, age_s: float) -> int:
        return self.tables.purge_keys(self.now() - timedelta(seconds=age_s))

    async def publish_outbox(self) -> None:
        self.tables.outbox.delete(list(self.tables.outbox.rows))

    async def reconcile(self, missing: Any, *, meanwhile: Any = None) -> dict[str, Any]:
        receivers = self.environment.receivers(missing, meanwhile and partial(meanwhile, self))
        peers: dict[str, Any] = {KITCHEN: [KITCHEN], NOTIFICATION: [NOTIFICATION]}
        await receivers.drive(reconcile(self.tables, **peers))
        return receivers.asked

    async def rows(self) -> dict[str, Any]:
        tables = self.tables
        assert not tables.breaches
        return {
            "orders": {self.name_of(id_): row.stored for id_, row in tables.orders.items()},
            "keys": {
                row.key: (self.name_of(row.order_id), row.request_hash, row.answer)
                for row in tables.keys.values()
            },
            "times": {
                self.name_of(id_): (
                    row.updated_at,
                    row.next_ask_at,
                    row.next_check_at,
                    row.kitchen_seen_at,
                    row.notified_version,
                    row.released_at,
                )
                for id_, row in tables.orders.items()
            },
            "outbox": self.environment.waiting_in(self.tables.outbox),
        }


class Repositories(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.database = environment.connect(GATEWAY)
        self.messages = environment.messages(self.database, outbox, reconcile_delivery)
        self.project_statuses = ProjectStatuses(self.database, on_cancelled=_nothing)

    async def receive(self, **keys: str) -> list[tuple[str, bool]]:
        placings = [self.placing(name, key) for name, key in keys.items()]
        async with self.database.statement() as connection:
            repeats = (await receive_sql.receive(connection, placings)).repeats
            found = await receive_sql.find_by_key(connection, list(keys.values()))
        return [
            (self.name_of(found[placing.key].order.id), placing.order.id not in repeats)
            for placing in placings
        ]

    async def orders(self, *names: str) -> list[StoredOrder | None]:
        async with self.database.statement() as connection:
            found = await settle_sql.find_answers(connection, list(map(self.id_of, names)))
        return [found.get(self.id_of(name), (None, None))[0] for name in names]

    async def settle(self, *names: str, reason: RejectionReason | None = None) -> dict[str, Any]:
        orders = [order for order in await self.orders(*names) if order]
        settlements = [settlement(self.verdict(order, reason)) for order in orders]
        async with self.database.statement() as connection:
            await settle_sql.settle(connection, settlements)
            answers = await settle_sql.find_answers(connection, [order.id for order in orders])
        return {name: answers[self.id_of(name)][1] for name in names}

    async def project(self, *statuses: tuple[str, OrderStatus]) -> None:
        orders = await self.orders(*(name for name, _ in statuses))
        await self.project_statuses.project(
            [self.event(*each, order) for each, order in zip(statuses, orders, strict=True)]
        )

    async def find_missing(self, **versions: int) -> list[OrderVersion]:
        async with self.database.statement() as connection:
            missing = await check_delivery.find_missing(connection, self.asked(versions))
        return sorted(missing, key=lambda each: each.order_id)

    async def retry_pending(self) -> list[str]:
        asked: list[Any] = []
        stock: Any = SimpleNamespace(request=asked.extend)
        await RetryPending(self.database, Outbox(outbox), stock, on_published=_nothing).run()
        return sorted(self.name_of(order.id) for order in asked)

    async def claim_unreleased(self) -> list[str]:
        async with self.database.statement() as connection:
            return sorted(map(self.name_of, await release_cancelled.claim_unreleased(connection, limit=100)))

    async def mark_released(self, *names: str) -> None:
        async with self.database.statement() as connection:
            await release_cancelled.mark_released(connection, list(map(self.released, names)))

    async def purge_keys(self, *, age_s: float) -> int:
        made_before = self.now() - timedelta(seconds=age_s)
        async with self.database.statement() as connection:
            return await purge_keys.purge_keys(connection, made_before=made_before, limit=100)

    async def publish_outbox(self) -> None:
        await self.messages.publish()

    async def reconcile(self, missing: Any, *, meanwhile: Any = None) -> dict[str, Any]:
        receivers = self.environment.receivers(missing, meanwhile and partial(meanwhile, self))
        await self.messages.reconcile(receivers)
        return receivers.asked

    async def rows(self) -> dict[str, Any]:
        times = {row["id"]: row for row in await self.environment.admin.fetch(_TIMES)}
        async with self.database.statement() as connection:
            found = await settle_sql.find_answers(connection, list(times))
        return {
            "orders": {self.name_of(id_): _without_age(order) for id_, (order, _) in found.items()},
            "times": {self.name_of(id_): tuple(others) for id_, *others in times.values()},
            "keys": {
                key: (self.name_of(id_), request_hash, found[id_][1])
                for key, id_, request_hash in await self.environment.admin.fetch(_KEYS)
            },
            "outbox": await self.messages.rows(),
        }


def _nothing() -> None: ...


def _without_age(order: StoredOrder) -> StoredOrder:
    """The model computes an order's age where it asks stock."""
    return msgspec.structs.replace(order, age_ms=0)


@pytest.fixture
def gateway(environment: Environment) -> Any:
    return environment.both(Model(environment), Repositories(environment))


async def test_a_repeated_key_finds_the_first_order(gateway: Any) -> None:
    assert await gateway.receive(tea="k") == [("tea", True)]
    assert await gateway.receive(coffee="k", soup="other") == [("tea", False), ("soup", True)]


async def test_two_orders_under_one_key_in_a_batch_become_one(gateway: Any) -> None:
    assert await gateway.receive(tea="k", soup="a", coffee="k") == [
        ("tea", True),
        ("soup", True),
        ("tea", False),
    ]


async def test_a_second_settlement_changes_nothing(gateway: Any, environment: Environment) -> None:
    await gateway.receive(tea="t", soup="s")
    first = await gateway.settle("tea")
    await environment.advance(1)
    assert await gateway.settle(
        "soup", "tea", reason=RejectionReason.OUT_OF_STOCK
    ) | first == await gateway.settle("tea", "soup")


async def test_a_settlement_after_a_projection_gives_no_answer(gateway: Any) -> None:
    await gateway.receive(tea="k")
    await gateway.project(("tea", OrderStatus.IN_KITCHEN))
    assert await gateway.settle("tea") == {"tea": None}


async def test_projections_out_of_order_and_repeated_keep_the_highest_version(
    gateway: Any, environment: Environment
) -> None:
    await gateway.receive(tea="t", soup="s")
    await gateway.settle("tea", "soup")
    await environment.advance(1)
    await gateway.project(
        ("tea", OrderStatus.IN_KITCHEN), ("tea", OrderStatus.READY), ("soup", OrderStatus.IN_KITCHEN)
    )
    await environment.advance(1)
    await gateway.project(
        ("tea", OrderStatus.IN_KITCHEN), ("soup", OrderStatus.READY), ("nobody's", OrderStatus.READY)
    )
    await gateway.project(("tea", OrderStatus.READY), ("tea", OrderStatus.STOCK_VERIFIED))
    await gateway.project(("tea", OrderStatus.COLLECTED))


async def test_an_order_that_has_ended_does_not_change_again(gateway: Any) -> None:
    await gateway.receive(tea="t", soup="s")
    await gateway.settle("tea")
    await gateway.settle("soup", reason=RejectionReason.UNKNOWN_ITEM)
    await gateway.project(("tea", OrderStatus.CANCELLED), ("soup", OrderStatus.IN_KITCHEN))
    await gateway.project(("tea", OrderStatus.READY), ("soup", OrderStatus.READY))


async def test_retries_of_pending_orders_back_off_and_publish_pending_once(
    gateway: Any, environment: Environment
) -> None:
    await gateway.receive(tea="k", soup="s")
    await gateway.settle("soup")
    assert await gateway.retry_pending() == []
    pauses_s = (2, 1, 1.5, 2.25, 3.375, 4, 4, 60)
    for pause_s in pauses_s:
        await environment.advance(pause_s - 0.001)
        assert await gateway.retry_pending() == ([] if pause_s < 60 else ["tea"])
        await environment.advance(0.001)
        assert await gateway.retry_pending() == (["tea"] if pause_s < 60 else [])
    await gateway.settle("tea", reason=RejectionReason.EXPIRED)
    await environment.advance(60)
    assert await gateway.retry_pending() == []


async def test_a_cancelled_order_is_released_once(gateway: Any, environment: Environment) -> None:
    await gateway.receive(tea="t", soup="s")
    await gateway.settle("tea", "soup")
    await environment.advance(10)
    await gateway.project(("tea", OrderStatus.CANCELLED))
    assert await gateway.claim_unreleased() == ["tea"]
    assert await gateway.claim_unreleased() == []
    await environment.advance(1)
    assert await gateway.claim_unreleased() == ["tea"]
    await gateway.mark_released("tea", "soup")
    await environment.advance(9)
    await gateway.mark_released("tea")
    assert await gateway.claim_unreleased() == []


async def test_a_purge_keeps_the_keys_of_open_orders_and_young_ones(
    gateway: Any, environment: Environment
) -> None:
    await gateway.receive(pending="a", verified="b", cooking="c", ready="d", refused="e", cancelled="f")
    await gateway.settle("verified", "cooking", "ready", "cancelled")
    await gateway.settle("refused", reason=RejectionReason.OUT_OF_STOCK)
    await gateway.project(("cooking", OrderStatus.IN_KITCHEN), ("ready", OrderStatus.READY))
    await gateway.project(("cancelled", OrderStatus.CANCELLED))
    await environment.advance(60)
    await gateway.receive(young="g")
    await gateway.settle("young", reason=RejectionReason.OUT_OF_STOCK)
    assert await gateway.purge_keys(age_s=60) == 0
    assert await gateway.purge_keys(age_s=30) == 3
    assert await gateway.receive(again="d", other="c") == [("again", True), ("cooking", False)]


async def test_a_check_finds_the_orders_that_are_absent_or_older(gateway: Any) -> None:
    await gateway.receive(tea="t", soup="s")
    await gateway.project(("tea", OrderStatus.READY))
    missing = await gateway.find_missing(tea=4, soup=3, coffee=1)
    assert [each.version for each in missing] == [1, 3]


async def test_reconciliation_sends_again_what_is_missing(gateway: Any, environment: Environment) -> None:
    await gateway.receive(tea="t", soup="s", coffee="c")
    await gateway.settle("tea", "soup")
    await gateway.settle("coffee", reason=RejectionReason.OUT_OF_STOCK)
    await environment.advance(5)
    assert await gateway.reconcile(NOBODY_LACKS) == {}, "messages in the outbox are on their way"
    await gateway.publish_outbox()
    asked = await gateway.reconcile({KITCHEN: ("tea",), NOTIFICATION: ("coffee",)})
    assert asked == {
        KITCHEN: [("soup", 2), ("tea", 2)],
        NOTIFICATION: [("coffee", 2), ("soup", 2), ("tea", 2)],
    }
    await gateway.publish_outbox()
    await environment.advance(2.5)
    assert await gateway.reconcile(NOBODY_LACKS) == {KITCHEN: [("tea", 2)], NOTIFICATION: [("coffee", 2)]}


@pytest.mark.parametrize("silent", [(KITCHEN,), (NOTIFICATION,), (KITCHEN, NOTIFICATION)])
async def test_a_receiver_without_an_answer_confirms_nothing(
    gateway: Any, environment: Environment, silent: tuple[str, ...]
) -> None:
    await gateway.receive(tea="t", soup="s")
    await gateway.settle("tea")
    await environment.advance(2)
    await gateway.retry_pending()
    await gateway.publish_outbox()
    await environment.advance(5)
    await gateway.reconcile(NOBODY_LACKS | dict.fromkeys(silent))
    await environment.advance(4)
    await gateway.reconcile(NOBODY_LACKS)


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(lambda side: side.settle("tea"), id="a decision"),
        pytest.param(lambda side: side.project(("tea", OrderStatus.IN_KITCHEN)), id="a projection"),
        pytest.param(lambda side: side.reconcile(NOBODY_LACKS), id="another replica's finding"),
    ],
)
async def test_a_finding_about_an_older_state_is_not_stored(
    gateway: Any, environment: Environment, meanwhile: Any
) -> None:
    await gateway.receive(tea="t")
    await environment.advance(2)
    await gateway.retry_pending()
    await gateway.publish_outbox()
    await environment.advance(5)
    await gateway.reconcile({KITCHEN: (), NOTIFICATION: ("tea",)}, meanwhile=meanwhile)
