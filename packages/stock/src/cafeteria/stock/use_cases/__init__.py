"""What stock does, a use case to a file. Each is one transaction, or one batch of a group commit; none waits for a peer
inside it.
"""

from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.service import ServiceParts
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


class Service(ServiceParts, frozen=True, kw_only=True):
    """Stock, as its routes, message handlers and jobs see it."""

    decide_reservations: DecideReservations
    create_item: CreateItem
    change_item: ChangeItem
    switch_item: SwitchItem
    restock_item: RestockItem
    list_items: ListItems
    list_transactions: ListTransactions
    publish_availability: PublishAvailability
    purge_operations: PurgeOperations
    trace_order: TraceOrder
    purge_ended: PurgeEnded
