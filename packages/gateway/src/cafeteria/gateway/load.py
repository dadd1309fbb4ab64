"""Load shedding: decides whether the gateway takes one more order.

The request boundary calls it before it reads anything of the request: under overload, refusing an order has to
cost less than accepting it.
"""

from time import monotonic

from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.gateway.errors import SAY_AGAIN_WITH_THE_SAME_KEY
from cafeteria.gateway.service.place_order import Intake
from cafeteria.gateway.views import Backlog

MESSAGES_PER_ORDER = 2  # an accepted order's status event and its cook command
PATIENCE_S = 1.0  # a single burst is over by then: a thousand orders take half a second


class Admission:
    """Limits the orders that wait for a decision to `limit`, and the accepted ones whose messages wait to half of it.

    If the gateway accepted orders faster than it publishes them, they would wait without end and be cooked ever later.

    If a sixth of `limit` waits for longer than a burst takes although stock decides, more orders arrive than the
    gateway can serve: a sixth is then the limit, until PATIENCE_S have passed without a refusal. Each order waits for
    all before it, and they lengthen the event loop's turns. While stock does not answer, the number of waiting orders
    delays none of them: their students get 202.
    """

    def __init__(self, *, intake: Intake, backlog: Backlog, relay: Relay, limit: int) -> None:
        self._intake = intake
        self._backlog = backlog
        self._relay = relay
        self._limit = limit
        self._sustained_limit = max(1, limit // 6)
        self._unpublished_limit = max(1, limit // 2)
        self._below_limit_at_s = monotonic()
        self._refused_at_s = self._below_limit_at_s - PATIENCE_S

    def check(self) -> None:
        """Raises Overloaded."""
        now_s = monotonic()
        waiting = self._intake.waiting + self._backlog.pending
        if waiting < self._sustained_limit:
            self._below_limit_at_s = now_s
        is_sustained = now_s - self._below_limit_at_s > PATIENCE_S or now_s - self._refused_at_s < PATIENCE_S
        limit = self._sustained_limit if is_sustained and self._backlog.is_moving else self._limit
        if waiting >= limit or self._relay.behind // MESSAGES_PER_ORDER >= self._unpublished_limit:
            self._refused_at_s = now_s
            raise Overloaded(
                f"Too many orders are under way: this request did nothing. {SAY_AGAIN_WITH_THE_SAME_KEY}"
            )
