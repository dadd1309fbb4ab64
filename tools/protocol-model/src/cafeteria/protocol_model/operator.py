"""An operator who abandons an order: its request may still reach stock, which must then reserve nothing for it.

Today's gateway abandons no order, but `ReleaseStock` promises that doing so is safe: the release of an order that
stock never received leaves a tombstone.
"""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.contracts.stock import ReleaseStock, ReserveOrders, ReserveStock
from cafeteria.contracts.values import Line
from cafeteria.protocol_model.scheduler import LOST, Ask, Listener, Replica, Request, Scheduler, Steps

STRAY_ORDER = UUID(int=99)
AT_ONCE = 0.3
"""How often the request for the abandoned order is not delayed."""


class Operator(Replica):
    """Releases the abandoned order; `has_stray` is true until stock has answered."""

    def __init__(self, scheduler: Scheduler, stocks: Sequence[Listener]) -> None:
        super().__init__(scheduler, "operator")
        self.stocks = stocks
        self.has_stray = False

    def give_up_an_order(self, item_id: UUID) -> None:
        """Send a request for an order that a restored backup of the gateway does not have."""
        scheduler = self.scheduler
        lines = (Line(item_id=item_id, quantity=1),)
        order = ReserveStock(order_id=STRAY_ORDER, lines=lines, age_ms=0)
        ask = Ask("reserve of an order that was given up", self.stocks, ReserveOrders(orders=(order,)))
        on_its_way = scheduler.ready if scheduler.happens(AT_ONCE) else scheduler.held
        on_its_way.append(Request(scheduler, ask, None))
        self.has_stray = True

    def release(self) -> bool:
        """Send the release until stock has answered it."""
        return self.has_stray and self.run_alone("release", self._release)

    def _release(self) -> Steps:
        question = ReleaseStock(order_id=STRAY_ORDER)
        released = yield Ask("release of an order that was given up", self.stocks, question)
        if released is not LOST:
            self.has_stray = False
