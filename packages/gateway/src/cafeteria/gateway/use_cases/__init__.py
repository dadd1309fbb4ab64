"""What the gateway does, a use case to a file, and the recovery points from which every order continues after a crash.

An order passes through these points. Each is the result of a commit. A crash between two of them leaves the order
at the earlier one, and the step that is named there continues from it, any number of times.

    point        what is stored                          what continues, and where
    ---------    ------------------------------------    ------------------------------------------------------
    (nothing)    nothing; the key is unused              the student repeats                  place_order
    RECEIVED     keys and PENDING orders of a batch      reserve, a repeat, retry pending     settle_orders, retry_pending
    DECIDED      stock's decisions, at stock             the same: reserve is repeated        settle_orders
    SETTLED      states, final answers, messages         relay; a repeat gets the answer      chassis: messaging.relay
    SENT         messages in the streams                 reconcile delivery, until it is done chassis: messaging.reconciliation
    FOLLOWING    the kitchen's states                    project                              project_statuses

    cancelled at the kitchen                             project, or a repeat of the cancel   cancel_order
    CANCELLED    the order; portions not yet back        release, until stock has answered    release_cancelled
    released     `released_at`                           nothing: this is an end

Orders that one commit stores share one request to stock. After that each order continues on its own, and a failure
of one does not affect the others.

Each row has a test that starts from it: `tests/integration/test_recovery_points.py`.
"""

from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.reconciliation import Reconciliation
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.service import ServiceParts
from cafeteria.gateway.availability_cache import AvailabilityCache
from cafeteria.gateway.kitchen_pace import KitchenPace
from cafeteria.gateway.load import LoadShedding
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.gateway.use_cases.cancel_order import CancelOrder
from cafeteria.gateway.use_cases.check_delivery import CheckDelivery
from cafeteria.gateway.use_cases.count_pending import CountPending
from cafeteria.gateway.use_cases.place_order import PlaceOrder
from cafeteria.gateway.use_cases.project_statuses import ProjectStatuses
from cafeteria.gateway.use_cases.purge_keys import PurgeKeys
from cafeteria.gateway.use_cases.read_menu import ReadMenu
from cafeteria.gateway.use_cases.read_orders import ReadOrders
from cafeteria.gateway.use_cases.receive_orders import ReceiveOrders
from cafeteria.gateway.use_cases.release_cancelled import ReleaseCancelled
from cafeteria.gateway.use_cases.retry_pending import RetryPending
from cafeteria.gateway.use_cases.settle_orders import SettleOrders
from cafeteria.gateway.use_cases.trace_order import TraceOrder


class Service(ServiceParts, frozen=True, kw_only=True):
    """The gateway, as its routes, message handlers and jobs see it.

    `status_lag` is the lag of the consumer of the kitchen's status events.
    """

    settings: GatewaySettings
    relay: Relay
    status_lag: ConsumerLag
    availability: AvailabilityCache
    kitchen_pace: KitchenPace
    load_shedding: LoadShedding
    receive_orders: ReceiveOrders
    settle_orders: SettleOrders
    project_statuses: ProjectStatuses
    place_order: PlaceOrder
    cancel_order: CancelOrder
    read_orders: ReadOrders
    read_menu: ReadMenu
    check_delivery: CheckDelivery
    retry_pending: RetryPending
    count_pending: CountPending
    reconcile_delivery: Reconciliation
    release_cancelled: ReleaseCancelled
    purge_keys: PurgeKeys
    trace_order: TraceOrder
    purge_ended: PurgeEnded
