"""The kitchen's repositories do to Postgres what the model's tables do, for replicas that read the same tickets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, CookOrder, TicketStatus
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.subjects import GATEWAY, KITCHEN, NOTIFICATION
from cafeteria.contracts.values import OrderStatus, PricedLine, StatusTime
from cafeteria.kitchen.domain import Move, Ticket, TicketAction, act, cancel, finish, new_ticket, start
from cafeteria.kitchen.repository import check_delivery, cook_tickets, reconcile_delivery
from cafeteria.kitchen.repository import tickets as tickets_sql
from cafeteria.kitchen.tables import outbox
from cafeteria.kitchen.use_cases import cancel_tickets
from cafeteria.protocol_model.kitchen import PREP_S, KitchenReplica, KitchenTables

if TYPE_CHECKING:
    from conftest import Environment

STATIONS = 10
"""More than any scenario needs: the model's kitchen has no limit."""
NOBODY_LACKS: dict[str, Any] = {GATEWAY: (), NOTIFICATION: ()}

_TICKETS = """
SELECT order_id, status, CASE WHEN station IS NOT NULL THEN due_at END, confirm_at, gateway_version, notified_version,
    ARRAY(SELECT h.status FROM kitchen.order_status_history AS h WHERE h.kitchen_order_id = t.id ORDER BY 1),
    CAST(status_times AS text)
FROM kitchen.kitchen_orders AS t
"""
_STATIONS = "SELECT station FROM kitchen.kitchen_orders WHERE station IS NOT NULL"

_decode_path = msgspec.json.Decoder(tuple[StatusTime, ...]).decode


class Side:
    """A replica keeps the tickets that it has read; its moves begin at those states."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.id_of, self.name_of, self.now = environment.id_of, environment.name_of, environment.now
        self.has_read: dict[tuple[str, str], Ticket] = {}

    def order(self, name: str, kind: Any = CookOrder) -> Any:
        return kind(
            order_id=self.id_of(name),
            student_id="210041101",
            lines=(PricedLine(item_id=self.id_of("haleem"), quantity=1),),
            version=2,
            earlier=(
                StatusTime(status=OrderStatus.PENDING, version=1, at=self.now()),
                StatusTime(status=OrderStatus.STOCK_VERIFIED, version=2, at=self.now()),
            ),
        )

    def moves(self, replica: str, action: str, names: tuple[str, ...]) -> list[Move]:
        to_move: Any = {
            "start": partial(start, prep_s=PREP_S),
            "finish": finish,
            "cancel": cancel,
            "collect": partial(act, action=TicketAction.COLLECT, cooks_by_itself=True),
        }[action]
        moves = [to_move(self.has_read[replica, name], at=self.now()) for name in names]
        return [move for move in moves if move]

    def workload(self, moves: list[Move]) -> list[tuple[str, str]]:
        return sorted((self.name_of(move.ticket.order_id), move.status.value) for move in moves)


class Model(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tables = KitchenTables(environment.scheduler)
        bus: Any = None
        peers: dict[str, Any] = {GATEWAY: [GATEWAY], NOTIFICATION: [NOTIFICATION]}
        self.replica = KitchenReplica(environment.scheduler, "kitchen", tables=self.tables, bus=bus, **peers)

    async def enqueue(self, *names: str) -> None:
        self.tables.insert(map(self.order, names))

    async def cancel(self, name: str) -> CancelAnswered:
        return self.tables.cancel(self.order(name, CancelTicket), self.now())

    async def read(self, replica: str, *names: str) -> None:
        for name in names:
            [row] = self.tables.of_orders[self.id_of(name)]
            self.has_read[replica, name] = row.ticket

    async def move(self, replica: str, action: str, *names: str) -> None:
        self.tables.move(self.moves(replica, action, names))

    async def find_workload(self) -> list[tuple[str, str]]:
        return self.workload(self.tables.find_workload())

    async def find_missing(self, *names: str) -> set[str]:
        asked: Any = [self.order(name) for name in names]
        return {self.name_of(each.order_id) for each in self.tables.find_missing(asked)}

    async def publish_outbox(self) -> None:
        self.tables.outbox.delete(list(self.tables.outbox.rows))

    async def reconcile(self, missing: Any, *, meanwhile: Any = None) -> dict[str, Any]:
        receivers = self.environment.receivers(missing, meanwhile and partial(meanwhile, self))
        await receivers.drive(self.replica._reconcile())
        return receivers.asked

    async def rows(self) -> dict[str, Any]:
        return {
            "tickets": {
                self.name_of(row.ticket.order_id): (
                    row.ticket.status,
                    row.due_at,
                    row.confirm_at,
                    row.gateway_version,
                    row.notified_version,
                    sorted(row.history),
                    row.ticket.path,
                )
                for row in self.tables.tickets.values()
            },
            "outbox": _without_pickup(self.environment.waiting_in(self.tables.outbox)),
        }


class Repositories(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.database = environment.connect(KITCHEN)
        self.messages = environment.messages(self.database, outbox, reconcile_delivery)

    async def enqueue(self, *names: str) -> None:
        new = [new_ticket(self.order(name), traceparent=None) for name in names]
        async with self.database.statement() as connection:
            await tickets_sql.insert_tickets(connection, new, received_at=self.now())

    async def cancel(self, name: str) -> CancelAnswered:
        use_case = cancel_tickets.CancelTickets(self.database, on_moved=_nothing)
        [answer] = await use_case._commit([self.order(name, CancelTicket)])
        return answer

    async def read(self, replica: str, *names: str) -> None:
        async with self.database.statement() as connection:
            found = await tickets_sql.lock_by_order(connection, list(map(self.id_of, names)))
        for ticket in found:
            self.has_read[replica, self.name_of(ticket.order_id)] = ticket

    async def move(self, replica: str, action: str, *names: str) -> None:
        taken = {row["station"] for row in await self.environment.admin.fetch(_STATIONS)}
        free = [station for station in range(1, STATIONS + 1) if station not in taken]
        moves = self.moves(replica, action, names)
        async with self.database.statement() as connection:
            await tickets_sql.write_moves(connection, moves, free_stations=free)

    async def find_workload(self) -> list[tuple[str, str]]:
        at = self.now()
        async with self.database.statement() as connection:
            work = await cook_tickets.read_workload(
                connection, now=at, stations=STATIONS, queue_from=self.id_of(""), batch=100
            )
        started = [start(ticket, at=at, prep_s=PREP_S) for ticket in work.startable]
        return self.workload([*(finish(ticket, at=at) for ticket in work.due), *started])

    async def find_missing(self, *names: str) -> set[str]:
        async with self.database.statement() as connection:
            known = await check_delivery.read_known(connection, list(map(self.id_of, names)))
        return {name for name in names if self.id_of(name) not in known}

    async def publish_outbox(self) -> None:
        await self.messages.publish()

    async def reconcile(self, missing: Any, *, meanwhile: Any = None) -> dict[str, Any]:
        receivers = self.environment.receivers(missing, meanwhile and partial(meanwhile, self))
        await self.messages.reconcile(receivers)
        return receivers.asked

    async def rows(self) -> dict[str, Any]:
        return {
            "tickets": {
                self.name_of(id_): (*others, _decode_path(path))
                for id_, *others, path in await self.environment.admin.fetch(_TICKETS)
            },
            "outbox": _without_pickup(await self.messages.rows()),
        }


def _without_pickup(rows: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The two sides have different keys, and count the tickets of different tests."""
    return sorted(
        (
            subject,
            msgspec.json.encode(msgspec.structs.replace(_decode_event(body), pickup=None)),
        )
        for subject, body in rows
    )


_decode_event = msgspec.json.Decoder(OrderStatusChanged).decode


def _nothing() -> None: ...


@pytest.fixture
def kitchen(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cancel_tickets, "now", environment.now)
    return environment.both(Model(environment), Repositories(environment))


async def do(kitchen: Any, action: str, *names: str) -> None:
    """Let one replica read the tickets and move them."""
    await kitchen.read("a replica", *names)
    await kitchen.move("a replica", action, *names)


async def test_work_that_arrives_twice_has_one_ticket(kitchen: Any) -> None:
    await kitchen.enqueue("tea", "soup", "tea")
    await do(kitchen, "start", "tea")
    await kitchen.enqueue("tea")
    assert await kitchen.find_missing("tea", "coffee") == {"coffee"}


async def test_a_ticket_is_cooked_in_its_time_and_collected(kitchen: Any, environment: Environment) -> None:
    await kitchen.enqueue("tea", "soup")
    assert await kitchen.find_workload() == [
        ("soup", TicketStatus.IN_KITCHEN),
        ("tea", TicketStatus.IN_KITCHEN),
    ]
    await do(kitchen, "start", "tea")
    await environment.advance(PREP_S / 2)
    await do(kitchen, "start", "soup")
    await environment.advance(PREP_S / 2)
    assert await kitchen.find_workload() == [("tea", TicketStatus.READY)]
    await do(kitchen, "finish", "tea")
    await do(kitchen, "collect", "tea")
    await do(kitchen, "collect", "tea")


async def test_an_order_is_cancelled_before_its_work_arrives(kitchen: Any) -> None:
    first = await kitchen.cancel("tea")
    await kitchen.enqueue("tea")
    assert first.cancelled
    assert await kitchen.cancel("tea") == first
    assert await kitchen.find_workload() == []
    assert await kitchen.find_missing("tea") == set()


async def test_a_ticket_is_not_cancelled_once_it_has_started(kitchen: Any, environment: Environment) -> None:
    await kitchen.enqueue("tea", "soup")
    await kitchen.read("a replica", "tea", "soup")
    await do(kitchen, "start", "tea")
    await environment.advance(1)
    assert not (await kitchen.cancel("tea")).cancelled
    await kitchen.move("a replica", "cancel", "tea", "soup")


async def test_a_cancelled_ticket_is_not_started(kitchen: Any) -> None:
    await kitchen.enqueue("tea", "soup")
    await kitchen.read("a replica", "tea", "soup")
    await kitchen.cancel("tea")
    await kitchen.move("a replica", "start", "tea", "soup")


async def test_two_replicas_move_a_ticket_once(kitchen: Any, environment: Environment) -> None:
    await kitchen.enqueue("tea", "soup", "coffee")
    for action in ("start", "finish", "collect"):
        await kitchen.read("one", "tea", "soup")
        await kitchen.read("two", "tea", "soup")
        await kitchen.move("one", action, "tea")
        await environment.advance(1)
        await kitchen.move("two", action, "tea", "soup")


async def test_reconciliation_sends_the_latest_status_again(kitchen: Any, environment: Environment) -> None:
    await kitchen.enqueue("tea", "soup", "coffee")
    await do(kitchen, "start", "tea", "soup")
    await environment.advance(5)
    assert await kitchen.reconcile(NOBODY_LACKS) == {}, "messages in the outbox are on their way"
    await kitchen.publish_outbox()
    both = [("soup", 3), ("tea", 3)]
    asked = await kitchen.reconcile({GATEWAY: ("tea",), NOTIFICATION: ()})
    assert asked == {GATEWAY: both, NOTIFICATION: both}
    await kitchen.publish_outbox()
    await environment.advance(2.5)
    assert await kitchen.reconcile(NOBODY_LACKS) == {GATEWAY: [("tea", 3)]}
    await do(kitchen, "finish", "tea")
    await kitchen.publish_outbox()
    await environment.advance(6)
    assert await kitchen.reconcile(NOBODY_LACKS) == {GATEWAY: [("tea", 4)], NOTIFICATION: [("tea", 4)]}


@pytest.mark.parametrize("action", ["cancel", "start"])
@pytest.mark.parametrize("silent", [(GATEWAY,), (NOTIFICATION,), (GATEWAY, NOTIFICATION)])
async def test_checks_back_off_while_a_receiver_does_not_answer(
    kitchen: Any, environment: Environment, silent: tuple[str, ...], action: str
) -> None:
    await kitchen.enqueue("tea")
    await environment.advance(0.5)
    await do(kitchen, action, "tea")
    await kitchen.publish_outbox()
    await environment.advance(5)
    await kitchen.reconcile(NOBODY_LACKS | dict.fromkeys(silent))
    await environment.advance(4)
    await kitchen.reconcile(NOBODY_LACKS | dict.fromkeys(silent, ("tea",)))


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(lambda side: side.move("a replica", "finish", "tea"), id="a move"),
        pytest.param(lambda side: side.reconcile(NOBODY_LACKS), id="another replica's finding"),
    ],
)
async def test_a_finding_about_an_older_state_is_not_stored(
    kitchen: Any, environment: Environment, meanwhile: Any
) -> None:
    await kitchen.enqueue("tea")
    await do(kitchen, "start", "tea")
    await kitchen.publish_outbox()
    await environment.advance(6)
    await kitchen.read("a replica", "tea")
    await kitchen.reconcile({GATEWAY: ("tea",), NOTIFICATION: ("tea",)}, meanwhile=meanwhile)
