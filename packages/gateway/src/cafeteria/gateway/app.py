"""The composition root: builds the gateway's parts and connects them. The chassis opens, serves and closes them."""

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.http.pulse_snapshot import Answers
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.reconciliation import Reconciliation
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.ops import OwnFigures
from cafeteria.chassis.service import Declarations, service_app
from cafeteria.contracts.subjects import GATEWAY, GATEWAY_PROJECTION
from cafeteria.gateway import tables
from cafeteria.gateway.availability_cache import AvailabilityCache
from cafeteria.gateway.clients import Kitchen, Stock, receivers_over
from cafeteria.gateway.http_api import ROUTES
from cafeteria.gateway.jobs import JOBS
from cafeteria.gateway.kitchen_pace import KitchenPace
from cafeteria.gateway.limits import Limits
from cafeteria.gateway.load import LoadShedding, QueueDepth
from cafeteria.gateway.message_handlers import CONSUMERS, HANDLERS, SUBSCRIPTIONS
from cafeteria.gateway.repository import reconcile_delivery
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.gateway.use_cases import Service
from cafeteria.gateway.use_cases.cancel_order import CancelOrder
from cafeteria.gateway.use_cases.check_delivery import CheckDelivery
from cafeteria.gateway.use_cases.count_pending import PENDING, CountPending
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

PLACED = Answers(method="POST", route="/v1/orders", statuses=frozenset({201, 202}))
"""Orders that exist: accepted, or received while stock is silent. A repeat under the same key counts, too."""
RELAY_EVERY_S = 0.1  # the kitchen's work can wait that long, and an order costs 4 % less than at once

DECLARED = Declarations[Service](
    routes=ROUTES,
    handlers=HANDLERS,
    consumers=CONSUMERS,
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    checks={
        "menu": lambda service: service.availability.check(),
        "relay": lambda service: service.relay.check(),
    },
    shed_load=lambda service: service.load_shedding.check(),
    figures=OwnFigures(levels={"pending_orders": PENDING}, rates={"orders_per_s": PLACED}),
)


def create_app(settings: GatewaySettings) -> ServiceApp:
    """Build the app. It opens its connections when it starts, and starts without Postgres and NATS too."""
    return service_app(build, settings, DECLARED)


def build(settings: GatewaySettings) -> Service:
    """Build the parts; this opens nothing."""
    database = Database.connect(settings, service=GATEWAY, pool_size=settings.pool_size)
    request_database = database.within(ANSWER_WITHIN_S)
    bus = Bus(settings, service=GATEWAY)
    outbox = Outbox(tables.outbox)
    relay = _relay(settings, database, bus, outbox)
    status_lag = ConsumerLag(bus, GATEWAY_PROJECTION)
    availability, queue_depth, stock = AvailabilityCache(), QueueDepth(), Stock(bus)
    kitchen_pace = KitchenPace(limit=settings.kitchen_limit)
    settle_orders = SettleOrders(database, stock, queue_depth, on_settled=relay.wake)
    receive_orders = _receive_orders(settings, database, settle_orders, queue_depth)
    release_cancelled = ReleaseCancelled(database, stock)
    project_statuses = ProjectStatuses(database, on_cancelled=release_cancelled.wake.set)
    return Service(
        settings=settings,
        database=database,
        bus=bus,
        resources=(relay, settle_orders, receive_orders, project_statuses.batcher, availability),
        relay=relay,
        status_lag=status_lag,
        availability=availability,
        kitchen_pace=kitchen_pace,
        load_shedding=LoadShedding(receive_orders.batcher, queue_depth, relay, limit=settings.pending_limit),
        receive_orders=receive_orders,
        settle_orders=settle_orders,
        project_statuses=project_statuses,
        place_order=PlaceOrder(receive_orders, settle_orders, availability, kitchen_pace),
        cancel_order=CancelOrder(request_database, settle_orders, Kitchen(bus), project_statuses),
        read_orders=ReadOrders(request_database),
        read_menu=ReadMenu(availability),
        check_delivery=CheckDelivery(request_database, is_behind=status_lag.is_behind),
        retry_pending=RetryPending(database, outbox, settle_orders, on_published=relay.wake),
        count_pending=CountPending(database, queue_depth, limit=settings.pending_limit + 1),
        reconcile_delivery=_reconciliation(database, outbox, bus, relay),
        release_cancelled=release_cancelled,
        purge_keys=PurgeKeys(database),
        trace_order=TraceOrder(request_database),
        purge_ended=PurgeEnded(database, days=settings.keep_days),
    )


def _relay(settings: GatewaySettings, database: Database, bus: Bus, outbox: Outbox) -> Relay:
    holder = settings.instance(GATEWAY)
    return Relay(database, bus, outbox, service=GATEWAY, holder=holder, every_s=RELAY_EVERY_S)


def _receive_orders(
    settings: GatewaySettings, database: Database, settle_orders: SettleOrders, queue_depth: QueueDepth
) -> ReceiveOrders:
    limits = Limits(open_orders=settings.open_orders, portions_per_hour=settings.portions_per_hour)
    return ReceiveOrders(database, settle_orders, queue_depth, limits, queue_limit=settings.queue_limit)


def _reconciliation(database: Database, outbox: Outbox, bus: Bus, relay: Relay) -> Reconciliation:
    return Reconciliation(database, outbox, receivers_over(bus), reconcile_delivery, on_resent=relay.wake)
