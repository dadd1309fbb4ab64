"""Fakes of the gateway's peers, each on the real bus with the rights of the service that it replaces.

They keep the peers' promises (one decision per order, a repeated cancel gets the same answer); a test can make them
stop answering, lose replies, or refuse. The contract tests hold the real services to the same promises.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.chassis.messaging.rpc import ERROR_CODE_HEADER
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import subjects
from cafeteria.contracts.channels import HEADER_MESSAGE_ID, Rpc
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus, OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.stock import (
    MAX_AGE_MS,
    MAX_ORDERS,
    AvailabilityChanged,
    Decision,
    ItemAvailability,
    ItemPrice,
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus, OrderVersion, RejectionReason

PRICE = Decimal("45.50")


class RefusedError(Exception):
    """Makes the fake reply with an error of this code, as services do."""


class FakePeer:
    """Answers requests until a test stops it. `request_count` counts every request that arrived."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.request_count = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.loses_replies = False
        self._tasks: set[asyncio.Task[None]] = set()

    def stop_answering(self) -> None:
        """Requests wait, as in a stopped process, until `resume_answering`."""
        self.answering.clear()

    def resume_answering(self) -> None:
        self.answering.set()

    async def serve(self, rpc: Rpc[Any, Any], decide: Callable[[Any], Any]) -> None:
        decoder = msgspec.json.Decoder(rpc.request)

        async def answer(message: Msg) -> None:
            await self.answering.wait()
            try:
                reply = decide(decoder.decode(message.data))
            except RefusedError as error:
                await self.client.publish(message.reply, headers={ERROR_CODE_HEADER: str(error)})
                return
            if not self.loses_replies:
                await message.respond(msgspec.json.encode(reply))

        async def on_message(message: Msg) -> None:
            self.request_count += 1
            task = asyncio.create_task(answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await self.client.subscribe(rpc.subject, queue=rpc.owner, cb=on_message)
        await self.client.flush()

    async def close(self) -> None:
        self.resume_answering()
        if self._tasks:
            await asyncio.wait(self._tasks)


class FakeStock(FakePeer):
    """Keeps portions in memory and one decision per order for ever; rejects new orders that are too old.

    `asked` holds the orders of each request. `leaves_out` are orders whose decisions are missing in replies, `instead`
    maps an order to what replaces its decision. A request with one of `refuses` is refused as a whole, and so are the
    next `is_away_for` requests, as by a stock whose database is down. A reply has room for `holds` decisions.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.portions: dict[UUID, int] = {}
        self.decisions: dict[UUID, StockDecided] = {}
        self.released: dict[UUID, StockReleased] = {}
        self.version = 1
        self.asked: list[tuple[ReserveStock, ...]] = []
        self.leaves_out: set[UUID] = set()
        self.instead: dict[UUID, Any] = {}
        self.refuses: set[UUID] = set()
        self.is_away_for = 0
        self.holds = MAX_ORDERS

    async def open(self) -> None:
        await self.serve(subjects.RESERVE, self.reserve_all)
        await self.serve(subjects.RELEASE, self.release)

    def stock_up(self, quantity: int) -> UUID:
        item_id = new_id()
        self.portions[item_id] = quantity
        return item_id

    def reserve_all(self, asked: ReserveOrders) -> Any:
        self.asked.append(asked.orders)
        if self.refuses & {order.order_id for order in asked.orders}:
            raise RefusedError("500")
        if self.is_away_for:
            self.is_away_for -= 1
            raise RefusedError("503")
        decisions = [(order.order_id, self.reserve(order)) for order in asked.orders]
        replied = [
            self.instead.get(order_id, decided)
            for order_id, decided in decisions
            if order_id not in self.leaves_out
        ]
        return {"decisions": replied[: self.holds]}

    def reserve(self, asked: ReserveStock) -> StockDecided:
        if asked.order_id not in self.decisions:
            self.decisions[asked.order_id] = self._decide(asked)
        return self.decisions[asked.order_id]

    def _decide(self, asked: ReserveStock) -> StockDecided:
        if asked.age_ms > MAX_AGE_MS:
            return _refused(asked, RejectionReason.EXPIRED, ())
        if unknown := tuple(line.item_id for line in asked.lines if line.item_id not in self.portions):
            return _refused(asked, RejectionReason.UNKNOWN_ITEM, unknown)
        short = tuple(line.item_id for line in asked.lines if self.portions[line.item_id] < line.quantity)
        if short:
            return _refused(asked, RejectionReason.OUT_OF_STOCK, short)
        self.version += 1
        for line in asked.lines:
            self.portions[line.item_id] -= line.quantity
        prices = tuple(
            ItemPrice(item_id=line.item_id, name=_name(line.item_id), unit_price=PRICE)
            for line in asked.lines
        )
        return StockDecided(order_id=asked.order_id, decision=Decision.RESERVED, items=prices)

    def release(self, asked: ReleaseStock) -> StockReleased:
        if asked.order_id not in self.released:
            self.released[asked.order_id] = StockReleased(order_id=asked.order_id, released_at=now())
        return self.released[asked.order_id]

    async def publish_availability(self, *, complete: bool = True) -> None:
        """Publish what is left of all items, as stock does each second."""
        items = tuple(
            ItemAvailability(
                item_id=item_id,
                name=_name(item_id),
                unit_price=PRICE,
                available=available,
                version=self.version,
            )
            for item_id, available in self.portions.items()
        )
        event = AvailabilityChanged(items=items, complete=complete)
        await self.client.publish(subjects.AVAILABILITY.subject, msgspec.json.encode(event))
        await self.client.flush()


class FakeKitchen(FakePeer):
    """Cancels tickets, except those of orders in `begun`."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.knows_all = True
        self.begun: set[UUID] = set()
        self.tickets: list[CancelTicket] = []
        self.cancelled: dict[UUID, CancelAnswered] = {}
        self.asked_about: list[OrderVersion] = []

    async def open(self) -> None:
        await self.serve(subjects.CANCEL, self.cancel)
        await self.serve(subjects.KITCHEN_DELIVERY, self.check_delivery)

    def cancel(self, asked: CancelTicket) -> CancelAnswered:
        self.tickets.append(asked)
        if asked.order_id in self.begun:
            return _cancel_answer(asked.order_id, OrderStatus.IN_KITCHEN)
        if asked.order_id not in self.cancelled:
            self.cancelled[asked.order_id] = _cancel_answer(asked.order_id, OrderStatus.CANCELLED)
        return self.cancelled[asked.order_id]

    def check_delivery(self, asked: CheckDelivery) -> DeliveryStatus:
        self.asked_about.extend(asked.items)
        return DeliveryStatus(missing=() if self.knows_all else asked.items)

    async def publish_status(
        self, order: dict[str, Any], status: OrderStatus, *, student_id: str, message_id: UUID | None = None
    ) -> None:
        """Publish a status event of the kitchen to the stream."""
        event = OrderStatusChanged(
            order_id=UUID(order["id"]),
            student_id=student_id,
            status=status,
            version=STATUS_VERSIONS[status],
            at=now() + timedelta(milliseconds=STATUS_VERSIONS[status]),
        )
        await self.publish_raw(
            msgspec.json.encode(OrderStatusesChanged(events=(event,))), message_id=message_id
        )

    async def publish_raw(self, body: bytes, *, message_id: UUID | None = None) -> None:
        await self.client.jetstream().publish(
            subjects.KITCHEN_STATUS.subject, body, headers={HEADER_MESSAGE_ID: str(message_id or new_id())}
        )

    async def ask_gateway(self, *versions: OrderVersion) -> DeliveryStatus:
        answer = await self.client.request(
            subjects.GATEWAY_DELIVERY.subject, msgspec.json.encode(CheckDelivery(items=versions)), timeout=5
        )
        return msgspec.json.decode(answer.data, type=DeliveryStatus)


class FakeNotification(FakePeer):
    """Has received every state, or none if `knows_all` is False."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.knows_all = True
        self.is_behind = False
        self.asked_about: list[OrderVersion] = []

    async def open(self) -> None:
        await self.serve(subjects.NOTIFICATION_DELIVERY, self.check_delivery)

    def check_delivery(self, asked: CheckDelivery) -> DeliveryStatus:
        self.asked_about.extend(asked.items)
        return DeliveryStatus(missing=() if self.knows_all else asked.items, behind=self.is_behind)


def _refused(asked: ReserveStock, reason: RejectionReason, items: tuple[UUID, ...]) -> StockDecided:
    return StockDecided(
        order_id=asked.order_id, decision=Decision.REJECTED, reason=reason, refused_item_ids=items
    )


def _cancel_answer(order_id: UUID, status: OrderStatus) -> CancelAnswered:
    return CancelAnswered(
        order_id=order_id,
        cancelled=status is OrderStatus.CANCELLED,
        status=status,
        version=STATUS_VERSIONS[status],
        at=now(),
    )


def _name(item_id: UUID) -> str:
    return f"Dish {item_id.hex[-6:]}"


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """Tracebacks with every local variable, structlog's default on a terminal, take seconds to render."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
async def stock(clean: None, servers: Any) -> AsyncIterator[FakeStock]:
    async with servers.bus_as(subjects.STOCK) as client:
        peer = FakeStock(client)
        await peer.open()
        yield peer
        await peer.close()


@pytest.fixture
async def kitchen(clean: None, servers: Any) -> AsyncIterator[FakeKitchen]:
    async with servers.bus_as(subjects.KITCHEN) as client:
        peer = FakeKitchen(client)
        await peer.open()
        yield peer
        await peer.close()


@pytest.fixture
async def notification(clean: None, servers: Any) -> AsyncIterator[FakeNotification]:
    async with servers.bus_as(subjects.NOTIFICATION) as client:
        peer = FakeNotification(client)
        await peer.open()
        yield peer
        await peer.close()
