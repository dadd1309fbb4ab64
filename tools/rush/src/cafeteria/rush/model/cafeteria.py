"""One cafeteria: two replicas of each service, the bus between them, students, and everything that goes wrong.

A schedule has three parts: faults, while students order and cancel; a calm, until nothing is left to do; and, now
and then, all history delivered once more, which must change nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from cafeteria.contracts.stock import ReleaseStock, ReserveStock
from cafeteria.contracts.values import Line
from cafeteria.gateway.domain import OWN_VERSION_LIMIT, Placing, new_order, request_hash, stored_key
from cafeteria.rush.history import Wish
from cafeteria.rush.model.bus import Bus
from cafeteria.rush.model.gateway import GatewayReplica, Peers
from cafeteria.rush.model.gateway_tables import GatewayTables
from cafeteria.rush.model.guards import Faults, Guards
from cafeteria.rush.model.kitchen import KitchenReplica, KitchenTables
from cafeteria.rush.model.notification import Follower, NotificationReplica, NotificationTables
from cafeteria.rush.model.scheduler import LOST, STEP, Ask, Replica, Request, Scheduler, Steps
from cafeteria.rush.model.stock import StockReplica, StockTables
from cafeteria.rush.model.students import CancelWish, OrderWish, Sent

STUDENTS = tuple(f"student-{number}" for number in range(1, 4))
ITEMS = tuple(UUID(int=number) for number in (901, 902))
ORDER_IDS = tuple(UUID(int=number) for number in range(1, 41))
STRAY_ORDER = UUID(int=99)
SHORTEST_FAULTS, LONGEST_FAULTS = 20, 80  # steps
CALM_ROUNDS = 16  # of the loops; four are enough when nothing was lost
HELD_ROUNDS = 4
REPLAYS = 0.15
STRAYS = 0.25
MINUTE = timedelta(seconds=61)
LOOP_PERIOD = timedelta(seconds=3)
HURRY = 0.8  # of the steps go on with what has begun
TRIES_TO_RUN = 4
KILLED_WHEN_HELD = 0.5

Tick = Callable[[], bool]


class Cafeteria:
    """`run` plays one schedule."""

    __slots__ = (
        "bus",
        "carriers",
        "counts",
        "followers",
        "gateway",
        "gateways",
        "has_stray",
        "kitchen",
        "kitchens",
        "notification",
        "notifications",
        "operator",
        "scheduler",
        "sent",
        "stock",
        "stocks",
        "threats",
        "ticks",
        "wishes",
    )

    def __init__(
        self, seed: int, *, guards: Guards, faults: Faults, story: list[str] | None = None
    ) -> None:
        scheduler = self.scheduler = Scheduler(seed, guards=guards, faults=faults, story=story)
        self.bus = Bus(scheduler)
        self._open_services()
        self.operator = Replica(scheduler, "operator")
        self.followers: list[Follower] = []
        self.sent: list[Sent] = []
        self.wishes: list[OrderWish | CancelWish] = []
        self.has_stray = False
        self.counts = {"faults": 0, "steps": 0}
        self._invite_students()
        self.ticks = self._what_loops_do()
        self.threats = self._what_goes_wrong()
        self.carriers = self._what_needs_no_clock()

    # --- what there is -----------------------------------------------------------------------------------

    def _open_services(self) -> None:
        scheduler, bus = self.scheduler, self.bus
        chance = scheduler.chance
        self.gateway, self.kitchen = GatewayTables(scheduler), KitchenTables(scheduler)
        self.notification = NotificationTables(scheduler)
        items = ITEMS[: 1 + int(chance.random() * len(ITEMS))]
        self.stock = StockTables(scheduler, {item: 1 + int(chance.random() * 4) for item in items})
        self.stocks = [StockReplica(scheduler, f"stock-{n}", self.stock) for n in (1, 2)]
        self.notifications = [
            NotificationReplica(scheduler, f"notification-{n}", tables=self.notification, bus=bus)
            for n in (1, 2)
        ]
        self.kitchens: list[KitchenReplica] = []
        peers = Peers(stock=self.stocks, kitchen=self.kitchens, notification=self.notifications)
        self.gateways = [
            GatewayReplica(scheduler, f"gateway-{n}", tables=self.gateway, bus=bus, peers=peers)
            for n in (1, 2)
        ]
        for n in (1, 2):
            self.kitchens.append(
                KitchenReplica(
                    scheduler,
                    f"kitchen-{n}",
                    tables=self.kitchen,
                    bus=bus,
                    gateway=self.gateways,
                    notification=self.notifications,
                )
            )

    def _invite_students(self) -> None:
        """Two or three orders, each sent up to three times, at once or spread, and up to three changes of mind."""
        chance, dice = self.scheduler.chance, self.scheduler.dice
        students = STUDENTS[: 1 + int(dice() * len(STUDENTS))]
        self.followers = [Follower(student) for student in students]
        groups: list[Sequence[OrderWish | CancelWish]] = []
        for number in range(2 + int(dice() * 2)):
            student, key = self.scheduler.one_of(students), f"key-{number}"
            sendings = [self._wish(student, key)] * (1 + int(dice() * 3))
            if dice() < 0.1:
                sendings.append(self._wish(student, key))
            groups += [sendings] if dice() < 0.5 else [[sending] for sending in sendings]
        groups += [[CancelWish(self.scheduler.one_of(students))] for _ in range(int(dice() * 4))]
        chance.shuffle(groups)
        self.wishes = [wish for group in groups for wish in group]
        if dice() < STRAYS:
            self._send_stray()

    def _wish(self, student_id: str, key: str) -> OrderWish:
        lines = self._lines()
        return OrderWish(student_id, key, lines, request_hash(lines))

    def _lines(self) -> tuple[Line, ...]:
        dice = self.scheduler.dice
        items = list(self.stock.items)
        if len(items) > 1 and dice() < 0.5:
            items = [self.scheduler.one_of(items)]
        return tuple(Line(item_id=item, quantity=1 + int(dice() * 2)) for item in items)

    def _send_stray(self) -> None:
        """A question on its way about an order that has been given up: a backup of the gateway does not know it.

        The gateway of today gives nothing up, but `ReleaseStock` promises that who does is safe.
        """
        lines = (Line(item_id=ITEMS[0], quantity=1),)
        question = ReserveStock(order_id=STRAY_ORDER, lines=lines, expires_at=self.scheduler.now + MINUTE)
        ask = Ask("S1 of an order that was given up", self.stocks, question)
        on_its_way = self.scheduler.ready if self.scheduler.happens(0.3) else self.scheduler.held
        on_its_way.append(Request(self.scheduler, ask, None))
        self.has_stray = True

    def _release_stray(self) -> bool:
        """Asks until stock has answered."""
        return self.has_stray and self.operator.run_alone("release", self._ask_for_release)

    def _ask_for_release(self) -> Steps:
        question = ReleaseStock(order_id=STRAY_ORDER)
        released = yield Ask("release of an order that was given up", self.stocks, question)
        if released is not LOST:
            self.has_stray = False

    def _what_loops_do(self) -> list[Tick]:
        ticks: list[Tick] = [self._watch_again, self._release_stray] * 3
        ticks += [self._let_a_student_act] * 12
        for gateway in self.gateways:
            ticks += [gateway.carry, gateway.ask_again, gateway.give_back, gateway.confirm] * 2
            ticks += [gateway.follow_kitchen] * 2
        for kitchen in self.kitchens:
            ticks += [kitchen.carry, kitchen.take_work, kitchen.cook, kitchen.confirm] * 2
        for notification in self.notifications:
            ticks += [notification.read] * 4
        return [*ticks, self._cook_twice, self._take_work_twice, self._follow_kitchen_twice]

    def _cook_twice(self) -> bool:
        """Both replicas at once."""
        return all([kitchen.cook() for kitchen in self.kitchens])

    def _take_work_twice(self) -> bool:
        return all([kitchen.take_work() for kitchen in self.kitchens])

    def _follow_kitchen_twice(self) -> bool:
        return all([gateway.follow_kitchen() for gateway in self.gateways])

    def _what_needs_no_clock(self) -> list[Tick]:
        carriers: list[Tick] = []
        for kitchen, gateway in zip(self.kitchens, self.gateways, strict=True):
            carriers += [kitchen.cook, kitchen.carry, gateway.carry, kitchen.take_work, gateway.follow_kitchen]
        return [*carriers, *(each.read for each in self.notifications), self._watch_again]

    # --- what students do --------------------------------------------------------------------------------

    def _let_a_student_act(self) -> bool:
        """One request, or several at once."""
        if not self.wishes:
            return False
        while self.wishes:
            wish = self.wishes.pop()
            if isinstance(wish, OrderWish):
                self._send_order(wish)
            elif not self._cancel_something(wish.student_id):
                self.wishes.insert(0, wish)
                break
            if self.scheduler.happens(0.5):
                break
        return True

    def _cancel_something(self, student_id: str) -> bool:
        """Rather an order that can still be cancelled."""
        own = [row.stored for row in self.gateway.orders.values() if row.stored.student_id == student_id]
        open_ones = [order for order in own if order.version <= OWN_VERSION_LIMIT]
        if not open_ones and not self.scheduler.happens(0.2):
            return False
        if own:
            self._send_cancel(student_id, self.scheduler.one_of(open_ones or own).id)
        return bool(own)

    def _send_order(self, wish: OrderWish) -> None:
        scheduler = self.scheduler
        sent = Sent(scheduler, Wish.ORDER, wish.student_id, key=wish.key)
        self.sent.append(sent)
        placing = Placing(
            order=new_order(
                order_id=ORDER_IDS[len(self.sent) - 1],
                student_id=wish.student_id,
                lines=wish.lines,
                at=scheduler.now,
            ),
            key=stored_key(wish.student_id, wish.key),
            request_hash=wish.request_hash,
        )
        gateway: GatewayReplica = scheduler.one_of(self.gateways)
        what = "{} orders under {}: order {.int}, if the key is new"
        scheduler.tell(gateway, what, wish.student_id, wish.key, placing.order.id)
        scheduler.begin(gateway, gateway.place(sent, placing))

    def _send_cancel(self, student_id: str, order_id: UUID) -> None:
        scheduler = self.scheduler
        sent = Sent(scheduler, Wish.CANCEL, student_id, order_id=order_id)
        self.sent.append(sent)
        gateway: GatewayReplica = scheduler.one_of(self.gateways)
        scheduler.tell(gateway, "{} cancels order {.int}", student_id, order_id)
        scheduler.begin(gateway, gateway.cancel(sent, order_id))

    def _watch_again(self) -> bool:
        """Whoever's stream has ended comes back, to any replica."""
        gone = [follower for follower in self.followers if follower.home is None]
        for follower in gone:
            self.scheduler.one_of(self.notifications).welcome(follower)
        return bool(gone)

    # --- what goes wrong ---------------------------------------------------------------------------------

    def _what_goes_wrong(self) -> list[tuple[float, Callable[[], None]]]:
        """Each kind with the sum of the rates up to and with its own."""
        weather = self.scheduler.weather
        rates = (
            (weather.crash, self._kill_someone),
            (weather.wipe, self._wipe),
            (weather.replay, self._replay),
            (weather.timed_out, self._time_out),
            (weather.pause, self._pause),
            (weather.long_pause, self._long_pause),
            (weather.lock_lost, self._lose_lock),
        )
        total = 0.0
        return [(total := total + rate, threat) for rate, threat in rates]

    def _kill_someone(self) -> None:
        service = self.scheduler.one_of((self.gateways, self.stocks, self.kitchens, self.notifications))
        self.scheduler.kill(self.scheduler.one_of(service))

    def _wipe(self) -> None:
        self.scheduler.tell(None, "the bus loses a stream")
        self.scheduler.one_of(self.bus.streams).wipe()

    def _replay(self) -> None:
        self.scheduler.tell(None, "a consumer is reset: its history comes again")
        self.scheduler.one_of(self.bus.durables).replay()

    def _time_out(self) -> None:
        if self.scheduler.waiting:
            self.scheduler.time_out(self.scheduler.one_of(tuple(self.scheduler.waiting)))

    def _pause(self) -> None:
        self.scheduler.now += timedelta(seconds=1 + int(self.scheduler.dice() * 7))

    def _long_pause(self) -> None:
        self.scheduler.tell(None, "a minute passes")
        self.scheduler.now += MINUTE

    def _lose_lock(self) -> None:
        outbox = self.scheduler.one_of((self.gateway, self.kitchen)).outbox
        outbox.holder = None

    # --- a schedule --------------------------------------------------------------------------------------

    def run(self) -> None:
        scheduler = self.scheduler
        self._have_faults(SHORTEST_FAULTS + int(scheduler.dice() * (LONGEST_FAULTS - SHORTEST_FAULTS)))
        scheduler.tell(None, "--- from here on nothing new goes wrong ---")
        scheduler.is_calm, scheduler.holding = True, 0.0
        if scheduler.held or scheduler.slow_step:
            self._come_to_rest(rounds=1 + int(scheduler.dice() * HELD_ROUNDS))
            self._let_go()
        self._come_to_rest(rounds=CALM_ROUNDS)
        if scheduler.happens(REPLAYS):
            scheduler.tell(None, "--- all history comes again ---")
            self._hear_all_again()

    def _have_faults(self, steps: int) -> None:
        scheduler, ticks, threats = self.scheduler, self.ticks, self.threats
        dice = scheduler.dice
        worst = threats[-1][0]
        for _ in range(steps):
            scheduler.now += STEP
            roll = dice()
            if roll < worst:
                next(threat for limit, threat in threats if roll < limit)()
                self.counts["faults"] += 1
            elif scheduler.ready and roll < HURRY:
                scheduler.go_on()
            else:
                for _ in range(TRIES_TO_RUN):
                    if ticks[int(dice() * len(ticks))]():
                        break

    def _let_go(self) -> None:
        """What was held up goes on, unless its process is killed instead; an order may have expired meanwhile."""
        scheduler = self.scheduler
        scheduler.tell(None, "--- what was held up goes on ---")
        if scheduler.happens(0.3):
            self._long_pause()
        if scheduler.weather.wipe and scheduler.happens(0.5):
            self._wipe()
        for home in {each.home: None for each in scheduler.held}:
            if home is not None and scheduler.happens(KILLED_WHEN_HELD):
                scheduler.kill(home)
        scheduler.ready += scheduler.held
        scheduler.held, scheduler.slow_step = [], ""

    def _come_to_rest(self, *, rounds: int) -> None:
        """Do all that can be done, then let time pass until there is more to do."""
        for _ in range(rounds):
            self._do_what_can_be_done()
            due = self._next_due()
            if due is None:
                return
            self.scheduler.now = max(self.scheduler.now, due) + LOOP_PERIOD
            for gateway in self.gateways:
                gateway.ask_again()
                gateway.give_back()
            self._release_stray()
            self._do_what_can_be_done()
            for replica in (*self.gateways, *self.kitchens):
                replica.confirm()

    def _do_what_can_be_done(self) -> None:
        scheduler, everything = self.scheduler, self.carriers
        has_moved = True
        while has_moved:
            while scheduler.ready or scheduler.waiting:
                if scheduler.ready:
                    scheduler.now += STEP
                    scheduler.go_on()
                else:
                    scheduler.time_out(next(iter(scheduler.waiting)))
            has_moved = False
            for act in everything:
                has_moved |= act()

    def _next_due(self) -> datetime | None:
        """When there will be something to do that no message brings; None when never."""
        guards = self.scheduler.guards
        moments = [self.scheduler.now] if self.has_stray else []
        for order in self.gateway.orders.values():
            if order.next_ask_at is not None:
                moments.append(order.next_ask_at)
            if order.next_check_at is not None and guards.end_to_end:
                moments.append(order.next_check_at)
        for ticket in self.kitchen.tickets.values():
            if ticket.due_at is not None:
                moments.append(ticket.due_at)
            if ticket.confirm_at is not None and guards.end_to_end:
                moments.append(ticket.confirm_at)
        return min(moments, default=None)

    def _hear_all_again(self) -> None:
        """In any order, a part at a time."""
        scheduler = self.scheduler
        for durable in self.bus.durables:
            durable.replay()
            scheduler.chance.shuffle(durable.waiting)
            for body in tuple(durable.waiting):
                durable.waiting = [body]
                self._do_what_can_be_done()
        for notification in self.notifications:
            notification.taken, notification.lately = 0, {}
        self._do_what_can_be_done()
