"""Whether one more order may come in.

Asked at the door, before anything of the request is read: whoever is overloaded cannot afford to refuse at
the price of accepting.
"""

from time import monotonic

from cafeteria.chassis.errors import Overloaded
from cafeteria.chassis.relay import Relay
from cafeteria.gateway.errors import SAY_AGAIN_WITH_THE_SAME_KEY
from cafeteria.gateway.service.place_order import Intake
from cafeteria.gateway.views import Backlog

MESSAGES_PER_ORDER = 2  # an accepted order's news, and the kitchen's work
PATIENCE_S = 1.0  # a crowd that comes at once is gone by then: a thousand orders take half a second


class Admission:
    """At most `limit` orders wait for their decision, and half as many accepted ones to be carried on.

    What the gateway can accept faster than it carries would wait without end, and be cooked ever later.

    Where a sixth of `limit` has waited for longer than a crowd takes, although stock decides, more come than can be
    served: then a sixth is the limit, until nobody was refused for a while. Each waits for all before, and turns of
    the event loop grow with them. While stock is silent it costs nobody anything how many wait: they get 202.
    """

    def __init__(self, *, intake: Intake, backlog: Backlog, relay: Relay, limit: int) -> None:
        self._intake = intake
        self._backlog = backlog
        self._relay = relay
        self._limit = limit
        self._few = max(1, limit // 6)
        self._uncarried_limit = max(1, limit // 2)
        self._calm_at_s = monotonic()
        self._refused_at_s = self._calm_at_s - PATIENCE_S

    def check(self) -> None:
        """Raises Overloaded."""
        now_s = monotonic()
        waiting = self._intake.waiting + self._backlog.pending
        if waiting < self._few:
            self._calm_at_s = now_s
        is_standing = now_s - self._calm_at_s > PATIENCE_S or now_s - self._refused_at_s < PATIENCE_S
        limit = self._few if is_standing and self._backlog.is_moving else self._limit
        if waiting >= limit or self._relay.behind // MESSAGES_PER_ORDER >= self._uncarried_limit:
            self._refused_at_s = now_s
            raise Overloaded(
                f"Too many orders are under way: this request did nothing. {SAY_AGAIN_WITH_THE_SAME_KEY}"
            )
