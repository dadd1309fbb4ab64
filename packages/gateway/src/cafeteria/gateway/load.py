"""The number of waiting orders, and load shedding: whether the gateway accepts one more order.

Both are memory that may be lost. The request boundary checks the load before it reads anything of the request: under
overload, refusing an order has to cost less than accepting it.
"""

from time import monotonic
from typing import Any

from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.gateway.errors import SEND_AGAIN_WITH_THE_SAME_KEY

MOVING_S = 0.5  # longer than a decision takes under any load that is not refused
MESSAGES_PER_ORDER = 2  # an accepted order's status event and its cook command
BURST_S = 1.0  # a single burst is over by then: a thousand orders take half a second


class QueueDepth:
    """The number of PENDING orders: counted in the database each second, adjusted by this process between counts."""

    def __init__(self) -> None:
        self.pending = 0
        self._settled_at_s = 0.0

    @property
    def is_moving(self) -> bool:
        """Whether stock decides orders at present, so that waiting ones wait only for their turn."""
        return monotonic() - self._settled_at_s < MOVING_S

    def received(self, count: int) -> None:
        self.pending += count

    def settled(self, count: int) -> None:
        self.pending = max(0, self.pending - count)
        self._settled_at_s = monotonic()

    def counted(self, count: int) -> None:
        self.pending = count


class LoadShedding:
    """Limits the orders that wait for a decision to `limit`, and the accepted ones whose messages wait to half of it.

    Orders wait in `receiving`, the batcher that stores them, and then for stock: `queue_depth`. If the gateway accepted
    orders faster than it publishes them, they would wait without end and be cooked ever later.

    If a sixth of `limit` waits for longer than a burst takes although stock decides, more orders arrive than the
    gateway can serve: a sixth is then the limit, until BURST_S have passed without a refusal. Each order waits for
    all before it, and they lengthen the event loop's turns. While stock does not answer, the number of waiting orders
    delays none of them: their students get 202.
    """

    def __init__(
        self, receiving: GroupCommit[Any, Any], queue_depth: QueueDepth, relay: Relay, *, limit: int
    ) -> None:
        self._receiving = receiving
        self._queue_depth = queue_depth
        self._relay = relay
        self._limit = limit
        self._sustained_limit = max(1, limit // 6)
        self._unpublished_limit = max(1, limit // 2)
        self._below_limit_at_s = monotonic()
        self._refused_at_s = self._below_limit_at_s - BURST_S

    def check(self) -> None:
        """Raises Overloaded."""
        now_s = monotonic()
        waiting = self._receiving.pending + self._queue_depth.pending
        if waiting < self._sustained_limit:
            self._below_limit_at_s = now_s
        is_sustained = now_s - self._below_limit_at_s > BURST_S or now_s - self._refused_at_s < BURST_S
        limit = self._sustained_limit if is_sustained and self._queue_depth.is_moving else self._limit
        if waiting >= limit or self._relay.remaining_rows // MESSAGES_PER_ORDER >= self._unpublished_limit:
            self._refused_at_s = now_s
            raise Overloaded(
                f"Too many orders are under way: this request did nothing. {SEND_AGAIN_WITH_THE_SAME_KEY}"
            )
