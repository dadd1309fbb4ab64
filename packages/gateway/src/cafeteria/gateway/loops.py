"""Time as a door: which tick runs how often. (Loop 2 is the relay, in the chassis.)"""

from functools import partial

from cafeteria.chassis.database import Database
from cafeteria.chassis.loops import Loop
from cafeteria.gateway.service.confirm import Confirmation
from cafeteria.gateway.service.mend import Undecided, Unreleased, forget_old_keys

ASK_AGAIN_EVERY_S = 1.0
COUNT_EVERY_S = 1.0
CONFIRM_EVERY_S = 2.0
RELEASE_EVERY_S = 1.0
FORGET_EVERY_S = 3600.0


def ask_again_loop(undecided: Undecided) -> Loop:
    return Loop("gateway-ask-again", ASK_AGAIN_EVERY_S, undecided.ask_again)


def count_loop(undecided: Undecided, *, pending_limit: int) -> Loop:
    return Loop("gateway-count-pending", COUNT_EVERY_S, partial(undecided.count, limit=pending_limit + 1))


def confirm_loop(confirmation: Confirmation) -> Loop:
    return Loop("gateway-end-to-end", CONFIRM_EVERY_S, confirmation.confirm)


def release_loop(unreleased: Unreleased) -> Loop:
    return Loop("gateway-release", RELEASE_EVERY_S, unreleased.release)


def forget_loop(database: Database) -> Loop:
    return Loop("gateway-retention", FORGET_EVERY_S, partial(forget_old_keys, database))
