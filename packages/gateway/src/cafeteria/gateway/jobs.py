"""The gateway's periodic jobs and their intervals in seconds. (The relay is in the chassis.)"""

from functools import partial

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.jobs import Loop
from cafeteria.gateway.service.confirm import Confirmation
from cafeteria.gateway.service.mend import RetryPending, Unreleased, forget_old_keys

RETRY_PENDING_EVERY_S = 1.0
COUNT_EVERY_S = 1.0
CONFIRM_EVERY_S = 2.0
RELEASE_EVERY_S = 1.0
FORGET_EVERY_S = 3600.0


def retry_pending_loop(retry_pending: RetryPending) -> Loop:
    return Loop("gateway-retry-pending", RETRY_PENDING_EVERY_S, retry_pending.retry)


def count_loop(retry_pending: RetryPending, *, pending_limit: int) -> Loop:
    return Loop("gateway-count-pending", COUNT_EVERY_S, partial(retry_pending.count, limit=pending_limit + 1))


def confirm_loop(confirmation: Confirmation) -> Loop:
    return Loop("gateway-end-to-end", CONFIRM_EVERY_S, confirmation.confirm)


def release_loop(unreleased: Unreleased) -> Loop:
    return Loop("gateway-release", RELEASE_EVERY_S, unreleased.release)


def forget_loop(database: Database) -> Loop:
    return Loop("gateway-retention", FORGET_EVERY_S, partial(forget_old_keys, database))
