"""What the gateway does, a file for each use case, and the list of points from which an order always goes on.

An order's life is a walk over these points. Each is what a commit has left behind; a crash between two of them
leaves the order at the one before, and who is named there goes on from it, any number of times.

    point        what is stored                          who goes on, and where
    ---------    ------------------------------------    ------------------------------------------------------
    (nothing)    nothing; the key is unused              the student repeats                  place_order
    RECEIVED     keys and PENDING orders of a batch      its question, repeats, retry pending decide, mend.RetryPending
    DECIDED      stock's decisions, at stock             the same: the question is repeated   decide
    SETTLED      states, final answers, messages         the relay; a repeat replays          chassis.relay
    SENT         messages in the streams                 reconciliation, until they arrived   confirm
    FOLLOWING    the kitchen's states                    the kitchen's events                 project_status

    cancelled at the kitchen                             its event, or a repeat               cancel_order
    CANCELLED    the order; portions not yet back        release, until stock has answered    mend.Unreleased
    released     `released_at`                           nobody: this is an end

A batch that is stored together is asked about together, in one request; from there on each order goes its own way,
and whatever happens to one leaves its neighbours alone.

Each row has a test that begins there: `tests/integration/test_recovery_points.py`.
"""

import msgspec

from cafeteria.gateway.service.admission import Admission
from cafeteria.gateway.service.cancel_order import CancelOrder
from cafeteria.gateway.service.place_order import PlaceOrder
from cafeteria.gateway.service.read_orders import ReadOrders


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP door needs."""

    admission: Admission
    place_order: PlaceOrder
    cancel_order: CancelOrder
    read_orders: ReadOrders
