"""The gateway's use cases, one file each, and the recovery points from which every order continues after a crash.

An order passes through these points. Each is the result of a commit. A crash between two of them leaves the order
at the earlier one, and the step that is named there continues from it, any number of times.

    point        what is stored                          what continues, and where
    ---------    ------------------------------------    ------------------------------------------------------
    (nothing)    nothing; the key is unused              the student repeats                  place_order
    RECEIVED     keys and PENDING orders of a batch      reserve, a repeat, retry pending     decide, mend.RetryPending
    DECIDED      stock's decisions, at stock             the same: reserve is repeated        decide
    SETTLED      states, final answers, messages         relay; a repeat gets the answer      chassis.relay
    SENT         messages in the streams                 reconcile delivery, until it is done confirm
    FOLLOWING    the kitchen's states                    project                              project_status

    cancelled at the kitchen                             project, or a repeat of the cancel   cancel_order
    CANCELLED    the order; portions not yet back        release, until stock has answered    mend.Unreleased
    released     `released_at`                           nothing: this is an end

Orders that one commit stores share one request to stock. After that each order continues on its own, and a failure
of one does not affect the others.

Each row has a test that starts from it: `tests/integration/test_recovery_points.py`.
"""

import msgspec

from cafeteria.gateway.service.admission import Admission
from cafeteria.gateway.service.cancel_order import CancelOrder
from cafeteria.gateway.service.place_order import PlaceOrder
from cafeteria.gateway.service.read_orders import ReadOrders


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """The use cases that the HTTP routes call."""

    admission: Admission
    place_order: PlaceOrder
    cancel_order: CancelOrder
    read_orders: ReadOrders
