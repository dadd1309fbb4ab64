"""Stock's repositories do to Postgres what the model's tables do: two replicas read, decide, and write their batches."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cafeteria.contracts.stock import ReleaseStock, ReserveStock, TransactionKind
from cafeteria.contracts.subjects import STOCK
from cafeteria.contracts.values import Line
from cafeteria.protocol_model.stock import Command, StockTables
from cafeteria.stock.domain import LedgerEntry, Reservation, Shelf, StoredItem
from cafeteria.stock.repository import create_item
from cafeteria.stock.repository import decide_reservations as decide_sql
from cafeteria.stock.repository.decide_reservations import BatchMoved, Named
from cafeteria.stock.use_cases import decide_reservations

if TYPE_CHECKING:
    from conftest import Environment

PORTIONS = {"tea": 2, "soup": 5}

_LEDGER = """
SELECT order_id, item_id, quantity_deducted, kind FROM stock.stock_transactions ORDER BY order_id, item_id, kind
"""
_ITEMS = "SELECT item_id, quantity, version FROM stock.inventory"
_ORDERS = "SELECT order_id FROM stock.reservations ORDER BY order_id"


class Side:
    """A batch of a replica is read by `read`, which also decides it in memory, and written by `write`."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.id_of, self.name_of, self.now = environment.id_of, environment.name_of, environment.now
        self.shelves: dict[str, Shelf] = {}

    def reserve(self, name: str, age_s: int = 0, **lines: int) -> ReserveStock:
        return ReserveStock(
            order_id=self.id_of(name),
            lines=tuple(Line(item_id=self.id_of(item), quantity=each) for item, each in lines.items()),
            age_ms=age_s * 1000,
        )

    def release(self, name: str) -> ReleaseStock:
        return ReleaseStock(order_id=self.id_of(name))

    def decide(self, replica: str, commands: list[Command], *, items: Any, known: Any) -> list[Reservation]:
        self.shelves[replica] = Shelf(items=items, reservations=known, now=self.now())
        return [decide_reservations._decide(self.shelves[replica], command) for command in commands]

    def commands(self, wanted: tuple[Any, ...]) -> list[Command]:
        return [each(self) for each in wanted]


class Model(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        portions = {self.id_of(item): quantity for item, quantity in PORTIONS.items()}
        self.tables = StockTables(environment.scheduler, portions)

    async def read(self, replica: str, *wanted: Any) -> list[Reservation]:
        commands = self.commands(wanted)
        items, known = self.tables.read(commands)
        return self.decide(replica, commands, items=items, known=known)

    async def write(self, replica: str) -> bool:
        changes = self.shelves[replica].changes
        return self.tables.write(
            changes, dict.fromkeys((each.order_id for each in changes.decided), self.now())
        )

    async def rows(self) -> dict[str, Any]:
        return {
            "items": {item.id: (item.quantity, item.version) for item in self.tables.items.values()},
            "reservations": sorted(self.tables.reservations.values(), key=lambda each: each.order_id),
            "ledger": sorted(self.tables.ledger, key=lambda each: (each.order_id, each.item_id, each.kind)),
        }


class Repositories(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.database = environment.connect(STOCK)

    async def fill(self) -> None:
        for item, quantity in PORTIONS.items():
            stored = StoredItem(
                id=self.id_of(item),
                name="dish",
                price=Decimal("2.50"),
                on_sale=True,
                quantity=quantity,
                version=1,
            )
            async with self.database.transaction() as connection:
                await create_item.insert_item(connection, stored, actor="operator", now=self.now())

    async def read(self, replica: str, *wanted: Any) -> list[Reservation]:
        commands = self.commands(wanted)
        async with self.database.statement() as connection:
            items, known = await decide_sql.read_shelf(connection, decide_reservations._named(commands))
        return self.decide(replica, commands, items=items, known=known)

    async def write(self, replica: str) -> bool:
        try:
            async with self.database.statement() as connection:
                await decide_sql.write_changes(connection, self.shelves[replica].changes, now=self.now())
        except BatchMoved:
            return False
        return True

    async def rows(self) -> dict[str, Any]:
        admin = self.environment.admin
        order_ids = [row["order_id"] for row in await admin.fetch(_ORDERS)]
        async with self.database.statement() as connection:
            _, reservations = await decide_sql.read_shelf(
                connection, Named(order_ids=order_ids, item_ids=[], released_ids=[])
            )
        return {
            "items": {id_: tuple(others) for id_, *others in await admin.fetch(_ITEMS)},
            "reservations": sorted(reservations, key=lambda each: each.order_id),
            "ledger": [
                LedgerEntry(**{**row, "kind": TransactionKind(row["kind"])})
                for row in await admin.fetch(_LEDGER)
            ],
        }


@pytest.fixture
async def stock(environment: Environment) -> Any:
    repositories = Repositories(environment)
    await repositories.fill()
    return environment.both(Model(environment), repositories)


def reserve(name: str, **options: int) -> Any:
    return lambda side: side.reserve(name, **options)


def release(name: str) -> Any:
    return lambda side: side.release(name)


async def decide(stock: Any, *wanted: Any) -> list[tuple[str, str | None, bool]]:
    """Let one replica decide a batch; return each decision, its reason, and whether it is released."""
    decided = await stock.read("a replica", *wanted)
    assert await stock.write("a replica")
    return [(each.decision, each.reason, each.released_at is not None) for each in decided]


RESERVED, RELEASED = ("RESERVED", None, False), ("RESERVED", None, True)
OUT_OF_STOCK, EXPIRED = ("REJECTED", "OUT_OF_STOCK", False), ("REJECTED", "EXPIRED", False)
NEVER = ("REJECTED", "EXPIRED", True)


async def test_the_first_order_of_a_batch_gets_the_last_portions(stock: Any) -> None:
    orders = (reserve("first", tea=2, soup=1), reserve("second", tea=1, soup=1), reserve("third", soup=4))
    assert await decide(stock, *orders) == [RESERVED, OUT_OF_STOCK, RESERVED]


async def test_two_replicas_do_not_sell_the_last_portions_twice(stock: Any) -> None:
    await stock.read("one", reserve("first", tea=2))
    await stock.read("two", reserve("second", tea=1), reserve("third", soup=1))
    assert await stock.write("one")
    assert not await stock.write("two")
    assert await decide(stock, reserve("second", tea=1), reserve("third", soup=1)) == [OUT_OF_STOCK, RESERVED]


async def test_an_order_has_one_decision(stock: Any) -> None:
    await decide(stock, reserve("order", tea=1), reserve("order", tea=1))
    assert await decide(stock, reserve("order", tea=2, age_s=61)) == [RESERVED]


@pytest.mark.parametrize("quantity", [1, 3], ids=["reserved", "refused"])
async def test_two_replicas_do_not_decide_an_order_twice(stock: Any, quantity: int) -> None:
    await stock.read("one", reserve("order", tea=quantity))
    await stock.read("two", reserve("order", tea=quantity), reserve("other", soup=1))
    assert await stock.write("one")
    assert not await stock.write("two"), "nothing of the batch is written"


async def test_an_old_order_is_refused_and_a_younger_one_is_not(stock: Any) -> None:
    orders = (reserve("old", tea=1, age_s=61), reserve("young", tea=1, age_s=60))
    assert await decide(stock, *orders) == [EXPIRED, RESERVED]


async def test_an_order_with_an_unknown_item_takes_nothing(stock: Any) -> None:
    [refused] = await decide(stock, reserve("order", tea=1, gone=1))
    assert refused == ("REJECTED", "UNKNOWN_ITEM", False)


async def test_portions_come_back_once(stock: Any, environment: Environment) -> None:
    await decide(stock, reserve("order", tea=2, soup=1))
    await environment.advance(1)
    assert await decide(stock, release("order"), release("order")) == [RELEASED, RELEASED]
    await environment.advance(1)
    assert await decide(stock, release("order"), reserve("order", tea=2)) == [RELEASED, RELEASED]
    assert await decide(stock, reserve("next", tea=2)) == [RESERVED]


@pytest.mark.parametrize("quantity", [1, 3], ids=["reserved", "refused"])
async def test_two_replicas_do_not_release_an_order_twice(stock: Any, quantity: int) -> None:
    await decide(stock, reserve("order", tea=quantity))
    await stock.read("one", release("order"))
    await stock.read("two", release("order"), reserve("other", soup=1))
    assert await stock.write("one")
    assert not await stock.write("two"), "nothing of the batch is written"


async def test_an_order_that_is_released_first_is_never_reserved(
    stock: Any, environment: Environment
) -> None:
    assert await decide(stock, release("order")) == [NEVER]
    await environment.advance(1)
    assert await decide(stock, reserve("order", tea=1), release("order")) == [NEVER, NEVER]


async def test_a_reservation_may_be_released_in_its_own_batch(stock: Any) -> None:
    batch = (reserve("order", tea=2), release("order"), reserve("next", tea=2))
    assert await decide(stock, *batch) == [RESERVED, RELEASED, RESERVED]
