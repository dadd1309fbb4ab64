"""Whether one more order may come in.

Asked at the door, before anything of the request is read: whoever is overloaded cannot afford to refuse at
the price of accepting.
"""

from cafeteria.chassis.errors import Overloaded
from cafeteria.chassis.relay import Relay
from cafeteria.gateway.errors import SAY_AGAIN_WITH_THE_SAME_KEY
from cafeteria.gateway.service.place_order import Intake
from cafeteria.gateway.views import Backlog

MESSAGES_PER_ORDER = 2  # an accepted order's news, and the kitchen's work


class Admission:
    """At most `limit` orders are under way: not written yet, not decided yet, or decided and not yet carried on.

    The last are part of it because the gateway can accept faster than it carries: what waits would grow without
    end, and be cooked ever later.

    While stock decides, half as many: then whoever comes last waits for all before, and a thousand take over a second.
    While it is silent all get 202 after the same time, however many they are.
    """

    def __init__(self, *, intake: Intake, backlog: Backlog, relay: Relay, limit: int) -> None:
        self._intake = intake
        self._backlog = backlog
        self._relay = relay
        self._limit = limit

    def check(self) -> None:
        """Raises Overloaded."""
        uncarried = self._relay.behind // MESSAGES_PER_ORDER
        limit = self._limit // 2 if self._backlog.is_moving else self._limit
        if self._intake.waiting + self._backlog.pending + uncarried >= limit:
            raise Overloaded(
                f"Too many orders are under way: this request did nothing. {SAY_AGAIN_WITH_THE_SAME_KEY}"
            )
