"""One simulated cafeteria: two replicas of each service, the bus between them, students, and the fault injector.

Two lists hold what a process may do next: `ticks`, of which any may run while there are faults, and `delivery_ticks`,
which need neither a clock nor a student and run in the quiesce phase until none has anything to do.
"""

from collections.abc import Callable
from uuid import UUID

from cafeteria.protocol_model.bus import Bus
from cafeteria.protocol_model.fault_injector import FaultInjector
from cafeteria.protocol_model.gateway import GatewayReplica, Receivers
from cafeteria.protocol_model.gateway_tables import GatewayTables
from cafeteria.protocol_model.guards import Faults, Guards
from cafeteria.protocol_model.kitchen import KitchenReplica, KitchenTables
from cafeteria.protocol_model.load_clients import LoadClients
from cafeteria.protocol_model.notification import NotificationReplica, NotificationTables
from cafeteria.protocol_model.operator import Operator
from cafeteria.protocol_model.scheduler import Scheduler
from cafeteria.protocol_model.stock import StockReplica, StockTables

ITEMS = tuple(UUID(int=number) for number in (901, 902))
MOST_PORTIONS = 4
STRAYS = 0.25

Tick = Callable[[], bool]
"""Whether there was anything to do."""


class Cafeteria:
    """The whole simulation, drawn from one seed."""

    def __init__(self, seed: int, *, guards: Guards, faults: Faults, trace: list[str] | None = None) -> None:
        self.scheduler = Scheduler(seed, guards=guards, faults=faults, trace=trace)
        self.bus = Bus(self.scheduler)
        self._open_schemas()
        self._start_services()
        self._add_clients()
        self.fault_injector = FaultInjector(
            self.scheduler,
            services=(self.gateways, self.stocks, self.kitchens, self.notifications),
            bus=self.bus,
            outboxes=(self.gateway.outbox, self.kitchen.outbox),
        )
        self.ticks = self._make_ticks()
        self.delivery_ticks = self._make_delivery_ticks()

    def _open_schemas(self) -> None:
        scheduler, dice = self.scheduler, self.scheduler.dice
        items = ITEMS[: 1 + int(dice() * len(ITEMS))]
        self.gateway, self.kitchen = GatewayTables(scheduler), KitchenTables(scheduler)
        self.notification = NotificationTables(scheduler)
        self.stock = StockTables(scheduler, {item: 1 + int(dice() * MOST_PORTIONS) for item in items})

    def _start_services(self) -> None:
        scheduler, bus = self.scheduler, self.bus
        self.stocks = [StockReplica(scheduler, f"stock-{n}", self.stock) for n in (1, 2)]
        self.notifications = [
            NotificationReplica(scheduler, f"notification-{n}", tables=self.notification, bus=bus)
            for n in (1, 2)
        ]
        self.kitchens: list[KitchenReplica] = []
        receivers = Receivers(stock=self.stocks, kitchen=self.kitchens, notification=self.notifications)
        self.gateways = [
            GatewayReplica(scheduler, f"gateway-{n}", tables=self.gateway, bus=bus, receivers=receivers)
            for n in (1, 2)
        ]
        self.kitchens += [
            KitchenReplica(
                scheduler,
                f"kitchen-{n}",
                tables=self.kitchen,
                bus=bus,
                gateway=self.gateways,
                notification=self.notifications,
            )
            for n in (1, 2)
        ]

    def _add_clients(self) -> None:
        self.load_clients = LoadClients(
            self.scheduler,
            items=tuple(self.stock.items),
            orders=self.gateway,
            gateways=self.gateways,
            notifications=self.notifications,
        )
        self.operator = Operator(self.scheduler, self.stocks)
        if self.scheduler.happens(STRAYS):
            self.operator.give_up_an_order(ITEMS[0])

    def _make_ticks(self) -> list[Tick]:
        """List each tick as often as its share of all draws requires."""
        ticks: list[Tick] = [self.load_clients.watch_again, self.operator.release] * 3
        ticks += [self.load_clients.act] * 12
        for gateway in self.gateways:
            ticks += [
                gateway.relay_outbox,
                gateway.retry_pending,
                gateway.release_cancelled,
                gateway.reconcile_delivery,
            ] * 2
            ticks += [gateway.follow_kitchen] * 2
        for kitchen in self.kitchens:
            ticks += [kitchen.relay_outbox, kitchen.enqueue, kitchen.cook, kitchen.reconcile_delivery] * 2
            ticks += [kitchen.refuse_something]
        for notification in self.notifications:
            ticks += [notification.read] * 4 + [notification.resume]
        return [
            *ticks,
            _at_once(*(kitchen.cook for kitchen in self.kitchens)),
            _at_once(*(kitchen.enqueue for kitchen in self.kitchens)),
            _at_once(*(gateway.follow_kitchen for gateway in self.gateways)),
        ]

    def _make_delivery_ticks(self) -> list[Tick]:
        delivery_ticks: list[Tick] = []
        for kitchen, gateway in zip(self.kitchens, self.gateways, strict=True):
            delivery_ticks += [kitchen.cook, kitchen.relay_outbox, gateway.relay_outbox]
            delivery_ticks += [kitchen.enqueue, gateway.follow_kitchen]
        for notification in self.notifications:
            delivery_ticks += [notification.read, notification.resume]
        return [*delivery_ticks, self.load_clients.watch_again]


def _at_once(*ticks: Tick) -> Tick:
    """Run both replicas' ticks at the same moment."""

    def begin() -> bool:
        begun = [tick() for tick in ticks]
        return all(begun)

    return begin
