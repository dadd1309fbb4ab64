"""Every subject, stream and durable consumer, each with its single owner. Names are declared only here."""

from typing import Any

from cafeteria.contracts import identity, kitchen, orders, stock
from cafeteria.contracts.channels import Durable, Readers, Rpc, Stream, Topic

GATEWAY = "gateway"
IDENTITY = "identity"
STOCK = "stock"
KITCHEN = "kitchen"
NOTIFICATION = "notification"
SERVICES = (
    GATEWAY,
    IDENTITY,
    STOCK,
    KITCHEN,
    NOTIFICATION,
)
"""In the order of their default ports; a new service comes last, so that no port moves."""

PORT_OFFSETS = {service: offset for offset, service in enumerate(SERVICES)}

RESERVE = Rpc(
    owner=STOCK, subject="stock.rpc.v1.reserve", request=stock.ReserveOrders, reply=stock.OrdersDecided
)
RELEASE = Rpc(
    owner=STOCK, subject="stock.rpc.v1.release", request=stock.ReleaseStock, reply=stock.StockReleased
)
CANCEL = Rpc(
    owner=KITCHEN,
    subject="kitchen.rpc.v1.cancel",
    request=kitchen.CancelTicket,
    reply=kitchen.CancelAnswered,
)
JWKS = Rpc(
    owner=IDENTITY, subject="identity.rpc.v1.jwks", request=identity.FetchJwks, reply=identity.JwksAnswered
)
KITCHEN_DELIVERY = Rpc(
    owner=KITCHEN, subject="kitchen.rpc.v1.known", request=orders.CheckDelivery, reply=orders.DeliveryStatus
)
GATEWAY_DELIVERY = Rpc(
    owner=GATEWAY, subject="gateway.rpc.v1.known", request=orders.CheckDelivery, reply=orders.DeliveryStatus
)
NOTIFICATION_DELIVERY = Rpc(
    owner=NOTIFICATION,
    subject="notification.rpc.v1.known",
    request=orders.CheckDelivery,
    reply=orders.DeliveryStatus,
)

SESSIONS_REVOKED = Topic(
    owner=IDENTITY,
    subject="identity.revoked.v1",
    type_name="identity.sessions-revoked.v1",
    body=identity.SessionsRevoked,
)
AVAILABILITY = Topic(
    owner=STOCK,
    subject="stock.availability.v1",
    type_name="stock.availability-changed.v1",
    body=stock.AvailabilityChanged,
)
PACE = Topic(
    owner=KITCHEN,
    subject="kitchen.pace.v1",
    type_name="kitchen.pace.v1",
    body=kitchen.Pace,
)
WORK_PLACED = Topic(
    owner=GATEWAY,
    subject="kitchen.work.v1.placed",
    type_name="kitchen.cook-orders.v1",
    body=kitchen.CookOrders,
)
GATEWAY_STATUS = Topic(
    owner=GATEWAY,
    subject="order.status.v1.gateway",
    type_name="order.statuses-changed.v1",
    body=orders.OrderStatusesChanged,
)
KITCHEN_STATUS = Topic(
    owner=KITCHEN,
    subject="order.status.v1.kitchen",
    type_name="order.statuses-changed.v1",
    body=orders.OrderStatusesChanged,
)

STREAMS_API = "STREAMS.API"
"""The prefix that services use instead of `$JS.API`: the streams are in another account, and under the usual prefix the
server would answer that the service's account has none.
"""

KITCHEN_STREAM = Stream(name="KITCHEN", subjects=(WORK_PLACED.subject,))
NOTIFICATION_STREAM = Stream(name="NOTIFICATION", subjects=(GATEWAY_STATUS.subject, KITCHEN_STATUS.subject))

KITCHEN_WORK = Durable(
    owner=KITCHEN,
    stream=KITCHEN_STREAM.name,
    name="kitchen-work",
    filter_subject=WORK_PLACED.subject,
)
GATEWAY_PROJECTION = Durable(
    owner=GATEWAY,
    stream=NOTIFICATION_STREAM.name,
    name="gateway-projection",
    filter_subject=KITCHEN_STATUS.subject,
)
NOTIFICATION_READERS = Readers(
    owner=NOTIFICATION,
    stream=NOTIFICATION_STREAM.name,
    names=tuple(f"notification-reader-{number:02}" for number in range(1, 17)),
)
"""One for each of at most eight processes of notification, and eight more for their replacements in a deployment."""

RPCS: tuple[Rpc[Any, Any], ...] = (
    RESERVE,
    RELEASE,
    CANCEL,
    JWKS,
    KITCHEN_DELIVERY,
    GATEWAY_DELIVERY,
    NOTIFICATION_DELIVERY,
)
TOPICS: tuple[Topic[Any], ...] = (
    SESSIONS_REVOKED,
    AVAILABILITY,
    PACE,
    WORK_PLACED,
    GATEWAY_STATUS,
    KITCHEN_STATUS,
)
STREAMS = (KITCHEN_STREAM, NOTIFICATION_STREAM)
DURABLES = (KITCHEN_WORK, GATEWAY_PROJECTION)
READERS = (NOTIFICATION_READERS,)
