"""The composition root: builds notification's parts and connects them. The chassis opens, serves and closes them."""

import asyncio

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.lag import StreamLag
from cafeteria.chassis.messaging.ordered_reader import OrderedReader
from cafeteria.chassis.ops import OwnFigures
from cafeteria.chassis.service import Declarations, service_app
from cafeteria.contracts.subjects import NOTIFICATION, NOTIFICATION_STREAM
from cafeteria.notification import tables
from cafeteria.notification.canteen import Canteen
from cafeteria.notification.canteen_broadcast import CanteenBroadcast
from cafeteria.notification.http_api import ROUTES
from cafeteria.notification.jobs import JOBS
from cafeteria.notification.message_handlers import HANDLERS, SUBSCRIPTIONS
from cafeteria.notification.settings import NotificationSettings
from cafeteria.notification.sse_hub import OPEN, SseHub
from cafeteria.notification.student_streams import StudentStreams
from cafeteria.notification.use_cases import Service
from cafeteria.notification.use_cases.check_delivery import CheckDelivery
from cafeteria.notification.use_cases.follow_events import FollowEvents
from cafeteria.notification.use_cases.list_notifications import ListNotifications
from cafeteria.notification.use_cases.mark_delivered import MarkDelivered
from cafeteria.notification.use_cases.record_statuses import RecordStatuses
from cafeteria.notification.use_cases.trace_order import TraceOrder

DECLARED = Declarations[Service](
    routes=ROUTES,
    handlers=HANDLERS,
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    checks={"reader": lambda service: service.stream_lag.check()},
    figures=OwnFigures(levels={"open_streams": OPEN}),
)


def create_app(settings: NotificationSettings) -> ServiceApp:
    """Build the app. It opens its connections when it starts."""
    return service_app(build, settings, DECLARED)


def build(settings: NotificationSettings) -> Service:
    """Build the parts; this opens nothing."""
    database = Database.connect(settings, service=NOTIFICATION)
    request_database = database.within(ANSWER_WITHIN_S)
    bus = Bus(settings, service=NOTIFICATION)
    closing = asyncio.Event()
    canteen = Canteen()
    canteen_broadcast = CanteenBroadcast(canteen)
    hub = SseHub(closing, canteen_broadcast)
    stream_lag = StreamLag(bus, NOTIFICATION_STREAM)
    record_statuses = RecordStatuses(database, hub, DeadLetters(database, tables.dead_letters))
    reader = OrderedReader(
        bus,
        NOTIFICATION_STREAM,
        lag=stream_lag,
        start_position=record_statuses.start_position,
        on_batch=record_statuses.record_batch,
        on_idle=record_statuses.push_logged,
    )
    return Service(
        settings=settings,
        database=database,
        bus=bus,
        closing=closing,
        resources=(hub, reader),
        stream_lag=stream_lag,
        canteen=canteen,
        canteen_broadcast=canteen_broadcast,
        record_statuses=record_statuses,
        follow_events=FollowEvents(request_database, hub, StudentStreams(limit=settings.streams)),
        mark_delivered=MarkDelivered(database, hub),
        list_notifications=ListNotifications(request_database),
        check_delivery=CheckDelivery(request_database, is_behind=stream_lag.is_behind),
        trace_order=TraceOrder(request_database),
        purge_ended=PurgeEnded(database, days=settings.keep_days),
    )
