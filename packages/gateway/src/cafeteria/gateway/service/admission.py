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

    The last are part of it because the gateway can accept faster than it carries: what is carried later than it is
    accepted would grow without end, and be cooked ever later.
    """

    def __init__(self, *, intake: Intake, backlog: Backlog, relay: Relay, limit: int) -> None:
        self._intake = intake
        self._backlog = backlog
        self._relay = relay
        self._limit = limit

    def check(self) -> None:
        """Raises Overloaded."""
        uncarried = self._relay.behind // MESSAGES_PER_ORDER
        if self._intake.waiting + self._backlog.pending + uncarried >= self._limit:
            raise Overloaded(
                f"Too many orders are under way: this request did nothing. {SAY_AGAIN_WITH_THE_SAME_KEY}"
            )
