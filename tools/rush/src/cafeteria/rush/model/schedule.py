"""One schedule, in three parts: faults, while students order and cancel; a calm, until nothing is left to do; and,
now and then, all history delivered once more, which must change nothing.
"""

from datetime import datetime, timedelta

from cafeteria.rush.model.cafeteria import Cafeteria
from cafeteria.rush.model.scheduler import STEP

SHORTEST_FAULTS, LONGEST_FAULTS = 20, 80
"""In steps."""
CALM_ROUNDS = 16
"""Of the loops; four are enough when nothing was lost."""
HELD_ROUNDS = 4
LOOP_PERIOD = timedelta(seconds=3)
HURRY = 0.8
"""Of the steps go on with what has begun; the others begin something."""
TRIES_TO_BEGIN = 4
EXPIRES_WHEN_HELD, WIPED_WHEN_HELD, KILLED_WHEN_HELD = 0.3, 0.5, 0.5
REPLAYS = 0.15


def play(cafeteria: Cafeteria) -> None:
    scheduler = cafeteria.scheduler
    _have_faults(cafeteria, SHORTEST_FAULTS + int(scheduler.dice() * (LONGEST_FAULTS - SHORTEST_FAULTS)))
    scheduler.tell(None, "--- from here on nothing new goes wrong ---")
    scheduler.is_calm, scheduler.holding = True, 0.0
    if scheduler.held or scheduler.slow_step:
        _come_to_rest(cafeteria, rounds=1 + int(scheduler.dice() * HELD_ROUNDS))
        _let_go(cafeteria)
    _come_to_rest(cafeteria, rounds=CALM_ROUNDS)
    if scheduler.happens(REPLAYS):
        scheduler.tell(None, "--- all history comes again ---")
        _hear_all_again(cafeteria)


def _have_faults(cafeteria: Cafeteria, steps: int) -> None:
    scheduler, ticks, troubles = cafeteria.scheduler, cafeteria.ticks, cafeteria.troubles
    dice, worst = scheduler.dice, troubles.worst
    for _ in range(steps):
        scheduler.now += STEP
        roll = dice()
        if roll < worst:
            troubles.strike(roll)
        elif scheduler.ready and roll < HURRY:
            scheduler.go_on()
        else:
            for _ in range(TRIES_TO_BEGIN):
                if ticks[int(dice() * len(ticks))]():
                    break


def _let_go(cafeteria: Cafeteria) -> None:
    """What was held up goes on, unless its process is killed instead; an order may have expired meanwhile.

    The loops tick in the same moment, so that they meet what comes so late.
    """
    scheduler, troubles = cafeteria.scheduler, cafeteria.troubles
    scheduler.tell(None, "--- what was held up goes on ---")
    if scheduler.happens(EXPIRES_WHEN_HELD):
        troubles.pause_long()
    elif scheduler.weather.pause:
        troubles.pause()
    if scheduler.weather.wipe and scheduler.happens(WIPED_WHEN_HELD):
        troubles.wipe()
    for home in {each.home: None for each in scheduler.held}:
        if home is not None and scheduler.happens(KILLED_WHEN_HELD):
            scheduler.kill(home)
    scheduler.slow_step = ""
    _ask_and_give_back(cafeteria)
    _confirm(cafeteria)
    scheduler.ready += scheduler.held
    scheduler.held = []


def _ask_and_give_back(cafeteria: Cafeteria) -> None:
    """Retry pending and release cancelled."""
    for gateway in cafeteria.gateways:
        gateway.ask_again()
        gateway.give_back()


def _confirm(cafeteria: Cafeteria) -> None:
    """Reconcile delivery."""
    for gateway in cafeteria.gateways:
        gateway.confirm()
    for kitchen in cafeteria.kitchens:
        kitchen.confirm()


def _come_to_rest(cafeteria: Cafeteria, *, rounds: int) -> None:
    """Do all that can be done, then let time pass until there is more to do."""
    scheduler = cafeteria.scheduler
    for _ in range(rounds):
        _do_what_can_be_done(cafeteria)
        due = _next_due(cafeteria)
        if due is None:
            return
        scheduler.now = max(scheduler.now, due) + LOOP_PERIOD
        _ask_and_give_back(cafeteria)
        cafeteria.operator.release()
        _do_what_can_be_done(cafeteria)
        _confirm(cafeteria)


def _do_what_can_be_done(cafeteria: Cafeteria) -> None:
    scheduler, carriers = cafeteria.scheduler, cafeteria.carriers
    has_moved = True
    while has_moved:
        while scheduler.ready or scheduler.waiting:
            if scheduler.ready:
                scheduler.now += STEP
                scheduler.go_on()
            else:
                scheduler.time_out(next(iter(scheduler.waiting)))
        has_moved = False
        for carry in carriers:
            has_moved |= carry()


def _next_due(cafeteria: Cafeteria) -> datetime | None:
    """When there will be something to do that no message brings; None when never."""
    is_confirming = cafeteria.scheduler.guards.end_to_end
    moments = [cafeteria.scheduler.now] if cafeteria.operator.has_stray else []
    for order in cafeteria.gateway.orders.values():
        if order.next_ask_at is not None:
            moments.append(order.next_ask_at)
        if order.next_check_at is not None and is_confirming:
            moments.append(order.next_check_at)
    for ticket in cafeteria.kitchen.tickets.values():
        if ticket.due_at is not None:
            moments.append(ticket.due_at)
        if ticket.confirm_at is not None and is_confirming:
            moments.append(ticket.confirm_at)
    return min(moments, default=None)


def _hear_all_again(cafeteria: Cafeteria) -> None:
    """In any order, a part at a time."""
    scheduler = cafeteria.scheduler
    for durable in cafeteria.bus.durables:
        durable.replay()
        scheduler.chance.shuffle(durable.waiting)
        for body in tuple(durable.waiting):
            durable.waiting = [body]
            _do_what_can_be_done(cafeteria)
    for notification in cafeteria.notifications:
        notification.taken, notification.lately = 0, {}
    _do_what_can_be_done(cafeteria)
