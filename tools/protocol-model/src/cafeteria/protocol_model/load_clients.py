"""The simulated clients: what each student orders and how often, what they cancel, and which streams they follow."""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.contracts.values import Line
from cafeteria.faultkit.history import Intent
from cafeteria.gateway.domain import OWN_VERSION_LIMIT, NewOrder, Placing
from cafeteria.gateway.idempotency import request_hash, stored_key
from cafeteria.protocol_model.gateway import GatewayReplica
from cafeteria.protocol_model.gateway_tables import GatewayTables
from cafeteria.protocol_model.notification import Follower, NotificationReplica
from cafeteria.protocol_model.scheduler import Scheduler
from cafeteria.protocol_model.students import CancelIntent, OrderIntent, Sent

STUDENTS = tuple(f"student-{number}" for number in range(1, 4))
ORDER_IDS = tuple(UUID(int=number) for number in range(1, 41))
AT_ONCE = 0.5
"""How often the requests of one key follow each other directly, and how often one action follows another."""
OTHER_BODY = 0.1
"""How often a key is used for a second order as well."""
HOPELESS_CANCEL = 0.2
"""How often a student cancels what cannot be cancelled any more."""
ONE_DISH = 0.5


class LoadClients:
    """Sends two or three orders, each up to three times, together or spread out, and up to three cancellations."""

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
        self.intents = self._make_intents()

    def _make_intents(self) -> list[OrderIntent | CancelIntent]:
        """Make the list of requests to send; its last element is sent first."""
        scheduler, dice = self.scheduler, self.scheduler.dice
        groups: list[Sequence[OrderIntent | CancelIntent]] = []
        for number in range(2 + int(dice() * 2)):
            student, key = scheduler.one_of(self.students), f"key-{number}"
            sendings = [self._wish(student, key)] * (1 + int(dice() * 3))
            if dice() < OTHER_BODY:
                sendings.append(self._wish(student, key))
            groups += [sendings] if dice() < AT_ONCE else [[sending] for sending in sendings]
        groups += [[CancelIntent(scheduler.one_of(self.students))] for _ in range(int(dice() * 4))]
        scheduler.chance.shuffle(groups)
        return [intent for group in groups for intent in group]

    def _wish(self, student_id: str, key: str) -> OrderIntent:
        dice, items = self.scheduler.dice, self.items
        if len(items) > 1 and dice() < ONE_DISH:
            items = [self.scheduler.one_of(items)]
        lines = tuple(Line(item_id=item, quantity=1 + int(dice() * 2)) for item in items)
        return OrderIntent(student_id, key, lines, request_hash(lines))

    def act(self) -> bool:
        """Send one request, or several at once."""
        if not self.intents:
            return False
        while self.intents:
            intent = self.intents.pop()
            if isinstance(intent, OrderIntent):
                self._send_order(intent)
            elif not self._cancel_something(intent.student_id):
                self.intents.insert(0, intent)
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

    def _send_order(self, intent: OrderIntent) -> None:
        scheduler = self.scheduler
        sent = Sent(scheduler, Intent.ORDER, intent.student_id, key=intent.key)
        self.sent.append(sent)
        placing = Placing(
            order=NewOrder(
                id=ORDER_IDS[len(self.sent) - 1], student_id=intent.student_id, lines=intent.lines
            ),
            key=stored_key(intent.student_id, intent.key),
            request_hash=intent.request_hash,
        )
        gateway: GatewayReplica = scheduler.one_of(self.gateways)
        what = "{} orders under {}: order {.int}, if the key is new"
        scheduler.log(gateway, what, intent.student_id, intent.key, placing.order.id)
        gateway.place(sent, placing)

    def _send_cancel(self, student_id: str, order_id: UUID) -> None:
        scheduler = self.scheduler
        sent = Sent(scheduler, Intent.CANCEL, student_id, order_id=order_id)
        self.sent.append(sent)
        gateway: GatewayReplica = scheduler.one_of(self.gateways)
        scheduler.log(gateway, "{} cancels order {.int}", student_id, order_id)
        scheduler.begin(gateway, gateway.cancel(sent, order_id))

    def watch_again(self) -> bool:
        """Reconnect each follower whose stream has ended, to any replica."""
        has_come = False
        for follower in self.followers:
            if follower.home is None:
                self.scheduler.one_of(self.notifications).welcome(follower)
                has_come = True
        return has_come
