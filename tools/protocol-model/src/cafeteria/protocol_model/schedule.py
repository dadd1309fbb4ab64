"""One schedule, in three parts: faults, while students order and cancel; a quiesce phase, until nothing is left to do;
and sometimes a second delivery of all history, which must change nothing.
"""

from datetime import datetime, timedelta

from cafeteria.protocol_model.cafeteria import Cafeteria
from cafeteria.protocol_model.scheduler import STEP

SHORTEST_FAULTS, LONGEST_FAULTS = 20, 80
"""In steps."""
QUIESCE_ROUNDS = 16
"""Rounds of the jobs; four are enough when nothing was lost."""
HELD_ROUNDS = 4
LOOP_PERIOD = timedelta(seconds=3)
HURRY = 0.8
"""The share of steps that continue a task; the others begin one."""
TRIES_TO_BEGIN = 4
EXPIRES_WHEN_HELD, WIPED_WHEN_HELD, KILLED_WHEN_HELD = 0.3, 0.5, 0.5
REPLAYS = 0.15


def play(cafeteria: Cafeteria) -> None:
    scheduler = cafeteria.scheduler
    _run_with_faults(cafeteria, SHORTEST_FAULTS + int(scheduler.dice() * (LONGEST_FAULTS - SHORTEST_FAULTS)))
    scheduler.log(None, "--- from here on there are no new faults ---")
    scheduler.is_quiescing, scheduler.holding = True, 0.0
    if scheduler.held or scheduler.slow_step:
        _run_until_quiescent(cafeteria, rounds=1 + int(scheduler.dice() * HELD_ROUNDS))
        _release_held(cafeteria)
    _run_until_quiescent(cafeteria, rounds=QUIESCE_ROUNDS)
    if scheduler.happens(REPLAYS):
        scheduler.log(None, "--- the bus delivers all history again ---")
        _replay_all_history(cafeteria)


def _run_with_faults(cafeteria: Cafeteria, steps: int) -> None:
    scheduler, ticks, fault_injector = cafeteria.scheduler, cafeteria.ticks, cafeteria.fault_injector
    dice, worst = scheduler.dice, fault_injector.worst
    for _ in range(steps):
        scheduler.now += STEP
        roll = dice()
        if roll < worst:
            fault_injector.inject(roll)
        elif scheduler.ready and roll < HURRY:
            scheduler.go_on()
        else:
            for _ in range(TRIES_TO_BEGIN):
                if ticks[int(dice() * len(ticks))]():
                    break


def _release_held(cafeteria: Cafeteria) -> None:
    """Continue the delayed steps, unless their process is killed instead; an order may have expired meanwhile.

    The jobs tick at the same moment, so that they interleave with these late steps.
    """
    scheduler, fault_injector = cafeteria.scheduler, cafeteria.fault_injector
    scheduler.log(None, "--- delayed steps continue ---")
    if scheduler.happens(EXPIRES_WHEN_HELD):
        fault_injector.pause_long()
    elif scheduler.fault_rates.pause:
        fault_injector.pause()
    if scheduler.fault_rates.wipe and scheduler.happens(WIPED_WHEN_HELD):
        fault_injector.wipe()
    for home in {each.home: None for each in scheduler.held}:
        if home is not None and scheduler.happens(KILLED_WHEN_HELD):
            scheduler.kill(home)
    scheduler.slow_step = ""
    _retry_and_release(cafeteria)
    _reconcile(cafeteria)
    scheduler.ready += scheduler.held
    scheduler.held = []


def _retry_and_release(cafeteria: Cafeteria) -> None:
    """Run the jobs that retry pending orders and release cancelled ones."""
    for gateway in cafeteria.gateways:
        gateway.retry_pending()
        gateway.release_cancelled()


def _reconcile(cafeteria: Cafeteria) -> None:
    """Run the jobs that reconcile delivery."""
    for gateway in cafeteria.gateways:
        gateway.reconcile_delivery()
    for kitchen in cafeteria.kitchens:
        kitchen.reconcile_delivery()


def _run_until_quiescent(cafeteria: Cafeteria, *, rounds: int) -> None:
    """Run everything that is ready, then advance the clock until there is more to do."""
    scheduler = cafeteria.scheduler
    for _ in range(rounds):
        _drain(cafeteria)
        due = _next_due(cafeteria)
        if due is None:
            return
        scheduler.now = max(scheduler.now, due) + LOOP_PERIOD
        _retry_and_release(cafeteria)
        cafeteria.operator.release()
        _drain(cafeteria)
        _reconcile(cafeteria)


def _drain(cafeteria: Cafeteria) -> None:
    scheduler, delivery_ticks = cafeteria.scheduler, cafeteria.delivery_ticks
    has_moved = True
    while has_moved:
        while scheduler.ready or scheduler.waiting:
            if scheduler.ready:
                scheduler.now += STEP
                scheduler.go_on()
            else:
                scheduler.time_out(next(iter(scheduler.waiting)))
        has_moved = False
        for tick in delivery_ticks:
            has_moved |= tick()


def _next_due(cafeteria: Cafeteria) -> datetime | None:
    """Return the time of the next job that no message triggers; None when there is none."""
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


def _replay_all_history(cafeteria: Cafeteria) -> None:
    """Deliver all history again, in any order, one message at a time."""
    scheduler = cafeteria.scheduler
    for durable in cafeteria.bus.durables:
        durable.replay()
        scheduler.chance.shuffle(durable.waiting)
        for body in tuple(durable.waiting):
            durable.waiting = [body]
            _drain(cafeteria)
    for notification in cafeteria.notifications:
        notification.taken, notification.lately = 0, {}
    _drain(cafeteria)
