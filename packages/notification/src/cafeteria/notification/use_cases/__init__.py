"""What notification does, a use case to a file. Each is one transaction, or one batch of the ordered reader."""

from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.messaging.lag import StreamLag
from cafeteria.chassis.service import ServiceParts
from cafeteria.notification.canteen import Canteen
from cafeteria.notification.canteen_broadcast import CanteenBroadcast
from cafeteria.notification.use_cases.check_delivery import CheckDelivery
from cafeteria.notification.use_cases.follow_events import FollowEvents
from cafeteria.notification.use_cases.list_notifications import ListNotifications
from cafeteria.notification.use_cases.mark_delivered import MarkDelivered
from cafeteria.notification.use_cases.record_statuses import RecordStatuses
from cafeteria.notification.use_cases.trace_order import TraceOrder


class Service(ServiceParts, frozen=True, kw_only=True):
    """Notification, as its routes, message handlers and jobs see it.

    `stream_lag` is the lag of the reader of status events.
    """

    stream_lag: StreamLag
    canteen: Canteen
    canteen_broadcast: CanteenBroadcast
    record_statuses: RecordStatuses
    follow_events: FollowEvents
    mark_delivered: MarkDelivered
    list_notifications: ListNotifications
    check_delivery: CheckDelivery
    trace_order: TraceOrder
    purge_ended: PurgeEnded
