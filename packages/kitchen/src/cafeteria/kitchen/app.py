"""The composition root: builds the kitchen's parts and connects them. The chassis opens, serves and closes them."""

from collections.abc import Callable, Sequence

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.reconciliation import Reconciliation
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.ops import OwnFigures
from cafeteria.chassis.service import Declarations, service_app
from cafeteria.contracts.subjects import KITCHEN, KITCHEN_WORK
from cafeteria.kitchen import quote_outcomes, tables
from cafeteria.kitchen.clients import PacePublisher, receivers_over
from cafeteria.kitchen.domain import Move
from cafeteria.kitchen.http_api import ROUTES
from cafeteria.kitchen.jobs import JOBS
from cafeteria.kitchen.message_handlers import CONSUMERS, HANDLERS
from cafeteria.kitchen.newest_pace import NewestPace
from cafeteria.kitchen.quote_outcomes import QuoteOutcomes
from cafeteria.kitchen.repository import reconcile_delivery
from cafeteria.kitchen.settings import KitchenSettings
from cafeteria.kitchen.use_cases import Service
from cafeteria.kitchen.use_cases.cancel_tickets import CancelTickets
from cafeteria.kitchen.use_cases.change_intake import IntakeSwitch
from cafeteria.kitchen.use_cases.check_delivery import CheckDelivery
from cafeteria.kitchen.use_cases.cook_tickets import CookTickets, prep_between
from cafeteria.kitchen.use_cases.count_load import CountLoad
from cafeteria.kitchen.use_cases.enqueue_tickets import EnqueueTickets
from cafeteria.kitchen.use_cases.find_ticket import FindTicket
from cafeteria.kitchen.use_cases.list_tickets import ListTickets
from cafeteria.kitchen.use_cases.publish_pace import PublishPace
from cafeteria.kitchen.use_cases.refuse_ticket import RefuseTicket
from cafeteria.kitchen.use_cases.show_boards import ShowBoards
from cafeteria.kitchen.use_cases.ticket_actions import TakeTicketAction
from cafeteria.kitchen.use_cases.trace_order import TraceOrder

OnMoved = Callable[[Sequence[Move]], None]

DECLARED = Declarations[Service](
    routes=ROUTES,
    handlers=HANDLERS,
    consumers=CONSUMERS,
    jobs=JOBS,
    checks={"relay": lambda service: service.relay.check()},
    figures=OwnFigures(
        levels={
            "quote_error_median": quote_outcomes.ERROR_MEDIAN,
            "quote_error_p90": quote_outcomes.ERROR_P90,
            "quote_in_range": quote_outcomes.IN_RANGE,
        }
    ),
)


def create_app(settings: KitchenSettings) -> ServiceApp:
    """Build the app. It opens its connections when it starts."""
    return service_app(build, settings, DECLARED)


def build(settings: KitchenSettings) -> Service:
    """Build the parts; this opens nothing."""
    database = Database.connect(settings, service=KITCHEN)
    bus = Bus(settings, service=KITCHEN)
    outbox = Outbox(tables.outbox)
    relay = Relay(database, bus, outbox, service=KITCHEN, holder=settings.instance(KITCHEN))
    work_lag = ConsumerLag(bus, KITCHEN_WORK)
    request_database = database.within(ANSWER_WITHIN_S)
    on_moved = _after_moves(relay, QuoteOutcomes())
    newest_pace = NewestPace()
    publish_pace = PublishPace(request_database, PacePublisher(bus), newest_pace, settings)
    intake = IntakeSwitch(request_database, on_changed=publish_pace.wake.set)
    cook_tickets = _cook_tickets(database, settings, on_moved)
    enqueue_tickets = EnqueueTickets(database, newest_pace, on_queued=cook_tickets.work_arrived)
    cancel_tickets = CancelTickets(database, on_moved=relay.wake)
    return Service(
        settings=settings,
        database=database,
        bus=bus,
        resources=(relay, enqueue_tickets.batcher, cancel_tickets.batcher),
        relay=relay,
        work_lag=work_lag,
        enqueue_tickets=enqueue_tickets,
        cook_tickets=cook_tickets,
        cancel_tickets=cancel_tickets,
        take_ticket_action=TakeTicketAction(
            request_database, cooks_by_itself=settings.cooks_by_itself, on_moved=on_moved
        ),
        refuse_ticket=RefuseTicket(request_database, on_moved=relay.wake),
        list_tickets=ListTickets(request_database),
        find_ticket=FindTicket(request_database),
        show_boards=ShowBoards(request_database, stations=settings.counted_stations, intake=intake.read),
        count_load=CountLoad(request_database, stations=settings.counted_stations),
        intake=intake,
        publish_pace=publish_pace,
        check_delivery=CheckDelivery(request_database, is_behind=work_lag.is_behind),
        reconcile_delivery=_reconciliation(database, bus, outbox, relay),
        trace_order=TraceOrder(request_database),
        purge_ended=PurgeEnded(database, days=settings.keep_days),
    )


def _cook_tickets(database: Database, settings: KitchenSettings, on_moved: OnMoved) -> CookTickets:
    return CookTickets(
        database,
        stations=settings.stations,
        prep_s=prep_between(settings.prep_min_s, settings.prep_max_s),
        on_moved=on_moved,
    )


def _reconciliation(database: Database, bus: Bus, outbox: Outbox, relay: Relay) -> Reconciliation:
    return Reconciliation(database, outbox, receivers_over(bus), reconcile_delivery, on_resent=relay.wake)


def _after_moves(relay: Relay, outcomes: QuoteOutcomes) -> OnMoved:
    """Return what follows a commit of moves: their messages are published, their quotes judged."""

    def on_moved(moves: Sequence[Move]) -> None:
        relay.wake()
        outcomes.observe(moves)

    return on_moved
