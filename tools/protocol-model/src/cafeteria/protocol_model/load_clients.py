"""The simulated clients: what each student orders and how often, what they cancel, and which streams they follow."""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.contracts.values import Line
from cafeteria.faultkit.history import Wish
from cafeteria.gateway.domain import OWN_VERSION_LIMIT, NewOrder, Placing
from cafeteria.gateway.idempotency import request_hash, stored_key
from cafeteria.protocol_model.gateway import GatewayReplica
from cafeteria.protocol_model.gateway_tables import GatewayTables
from cafeteria.protocol_model.notification import Follower, NotificationReplica
from cafeteria.protocol_model.scheduler import Scheduler
from cafeteria.protocol_model.students import CancelWish, OrderWish, Sent

STUDENTS = tuple(f"student-{number}" for number in range(1, 4))
ORDER_IDS = tuple(UUID(int=number) for number in range(1, 41))
AT_ONCE = 0.5
"""How often the requests of one key follow each other directly, and how often one action follows another."""
OTHER_BODY = 0.1
"""How often a key is used for a second order as well."""
HOPELESS_CANCEL = 0.2
"""How often a student cancels what cannot be cancelled any more."""
ONE_DISH = 0.5


class Crowd:
    """Sends two or three orders, each up to three times, together or spread out, and up to three cancellations."""

    __slots__ = (
        "followers",
        "gateways",
        "items",
        "notifications",
        "orders",
        "scheduler",
        "sent",
        "students",
        "wishes",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        items: Sequence[UUID],
        orders: GatewayTables,
        gateways: Sequence[GatewayReplica],
        notifications: Sequence[NotificationReplica],
    ) -> None:
        self.scheduler = scheduler
        self.items = items
        self.orders = orders
        self.gateways = gateways
        self.notifications = notifications
        self.sent: list[Sent] = []
        self.students = STUDENTS[: 1 + int(scheduler.dice() * len(STUDENTS))]
        self.followers = [Follower(student) for student in self.students]
        self.wishes = self._make_wishes()

    def _make_wishes(self) -> list[OrderWish | CancelWish]:
        """Make the list of requests to send; its last element is sent first."""
        scheduler, dice = self.scheduler, self.scheduler.dice
        groups: list[Sequence[OrderWish | CancelWish]] = []
        for number in range(2 + int(dice() * 2)):
            student, key = scheduler.one_of(self.students), f"key-{number}"
            sendings = [self._wish(student, key)] * (1 + int(dice() * 3))
            if dice() < OTHER_BODY:
                sendings.append(self._wish(student, key))
            groups += [sendings] if dice() < AT_ONCE else [[sending] for sending in sendings]
        groups += [[CancelWish(scheduler.one_of(self.students))] for _ in range(int(dice() * 4))]
        scheduler.chance.shuffle(groups)
        return [wish for group in groups for wish in group]

    def _wish(self, student_id: str, key: str) -> OrderWish:
        dice, items = self.scheduler.dice, self.items
        if len(items) > 1 and dice() < ONE_DISH:
            items = [self.scheduler.one_of(items)]
        lines = tuple(Line(item_id=item, quantity=1 + int(dice() * 2)) for item in items)
        return OrderWish(student_id, key, lines, request_hash(lines))

    def act(self) -> bool:
        """Send one request, or several at once."""
        if not self.wishes:
            return False
        while self.wishes:
            wish = self.wishes.pop()
            if isinstance(wish, OrderWish):
                self._send_order(wish)
            elif not self._cancel_something(wish.student_id):
                self.wishes.insert(0, wish)
                break
            if self.scheduler.happens(AT_ONCE):
                break
        return True

    def _cancel_something(self, student_id: str) -> bool:
        """Cancel one of the student's orders, preferably one that can still be cancelled."""
        own = [row.stored for row in self.orders.orders.values() if row.stored.student_id == student_id]
        open_ones = [order for order in own if order.version <= OWN_VERSION_LIMIT]
        if not open_ones and not self.scheduler.happens(HOPELESS_CANCEL):
            return False
        if own:
            self._send_cancel(student_id, self.scheduler.one_of(open_ones or own).id)
        return bool(own)

    def _send_order(self, wish: OrderWish) -> None:
        scheduler = self.scheduler
        sent = Sent(scheduler, Wish.ORDER, wish.student_id, key=wish.key)
        self.sent.append(sent)
        placing = Placing(
            order=NewOrder(id=ORDER_IDS[len(self.sent) - 1], student_id=wish.student_id, lines=wish.lines),
            key=stored_key(wish.student_id, wish.key),
            request_hash=wish.request_hash,
        )
        gateway: GatewayReplica = scheduler.one_of(self.gateways)
        what = "{} orders under {}: order {.int}, if the key is new"
        scheduler.tell(gateway, what, wish.student_id, wish.key, placing.order.id)
        gateway.place(sent, placing)

    def _send_cancel(self, student_id: str, order_id: UUID) -> None:
        scheduler = self.scheduler
        sent = Sent(scheduler, Wish.CANCEL, student_id, order_id=order_id)
        self.sent.append(sent)
        gateway: GatewayReplica = scheduler.one_of(self.gateways)
        scheduler.tell(gateway, "{} cancels order {.int}", student_id, order_id)
        scheduler.begin(gateway, gateway.cancel(sent, order_id))

    def watch_again(self) -> bool:
        """Reconnect each follower whose stream has ended, to any replica."""
        has_come = False
        for follower in self.followers:
            if follower.home is None:
                self.scheduler.one_of(self.notifications).welcome(follower)
                has_come = True
        return has_come
