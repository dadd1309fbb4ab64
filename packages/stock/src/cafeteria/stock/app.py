"""The composition root: builds stock's parts and connects them. The chassis opens, serves and closes them."""

import asyncio

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.chassis.service import Declarations, service_app
from cafeteria.contracts.subjects import STOCK
from cafeteria.stock.change_set import ChangeSet
from cafeteria.stock.clients import AvailabilityPublisher
from cafeteria.stock.http_api import ROUTES
from cafeteria.stock.jobs import JOBS
from cafeteria.stock.message_handlers import HANDLERS
from cafeteria.stock.operations import Operations
from cafeteria.stock.use_cases import Service
from cafeteria.stock.use_cases.change_item import ChangeItem
from cafeteria.stock.use_cases.create_item import CreateItem
from cafeteria.stock.use_cases.decide_reservations import DecideReservations
from cafeteria.stock.use_cases.list_items import ListItems
from cafeteria.stock.use_cases.list_transactions import ListTransactions
from cafeteria.stock.use_cases.publish_availability import PublishAvailability
from cafeteria.stock.use_cases.purge_operations import PurgeOperations
from cafeteria.stock.use_cases.restock_item import RestockItem
from cafeteria.stock.use_cases.switch_item import SwitchItem
from cafeteria.stock.use_cases.trace_order import TraceOrder

POOL_SIZE = 4  # one batch at a time, one read of all items, and a few operators

DECLARED = Declarations[Service](routes=ROUTES, handlers=HANDLERS, jobs=JOBS)


def create_app(settings: ServiceSettings) -> ServiceApp:
    """Build the app. It opens its connections when it starts."""
    return service_app(build, settings, DECLARED)


def build(settings: ServiceSettings) -> Service:
    """Build the parts; this opens nothing."""
    database = Database.connect(settings, service=STOCK, pool_size=POOL_SIZE)
    bus = Bus(settings, service=STOCK)
    request_database = database.within(ANSWER_WITHIN_S)
    changed = asyncio.Event()
    changes = ChangeSet(changed)
    operations = Operations(request_database, on_changed=changes.add)
    decide_reservations = DecideReservations(database, on_changed=changes.add)
    return Service(
        settings=settings,
        database=database,
        bus=bus,
        resources=(decide_reservations.batcher,),
        decide_reservations=decide_reservations,
        create_item=CreateItem(operations),
        change_item=ChangeItem(request_database, on_changed=changes.add),
        switch_item=SwitchItem(request_database, on_changed=changes.add),
        restock_item=RestockItem(operations),
        list_items=ListItems(request_database),
        list_transactions=ListTransactions(request_database),
        publish_availability=PublishAvailability(
            request_database, AvailabilityPublisher(bus), changes, wake=changed
        ),
        purge_operations=PurgeOperations(request_database),
        trace_order=TraceOrder(request_database),
        purge_ended=PurgeEnded(database, days=settings.keep_days),
    )
