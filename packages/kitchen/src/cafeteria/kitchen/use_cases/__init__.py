"""What the kitchen does, a use case to a file. Each is one transaction, or one batch of a group commit; none waits for a peer
inside it.
"""

from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.reconciliation import Reconciliation
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.service import ServiceParts
from cafeteria.kitchen.settings import KitchenSettings
from cafeteria.kitchen.use_cases.cancel_tickets import CancelTickets
from cafeteria.kitchen.use_cases.change_intake import IntakeSwitch
from cafeteria.kitchen.use_cases.check_delivery import CheckDelivery
from cafeteria.kitchen.use_cases.cook_tickets import CookTickets
from cafeteria.kitchen.use_cases.count_load import CountLoad
from cafeteria.kitchen.use_cases.enqueue_tickets import EnqueueTickets
from cafeteria.kitchen.use_cases.find_ticket import FindTicket
from cafeteria.kitchen.use_cases.list_tickets import ListTickets
from cafeteria.kitchen.use_cases.publish_pace import PublishPace
from cafeteria.kitchen.use_cases.refuse_ticket import RefuseTicket
from cafeteria.kitchen.use_cases.show_boards import ShowBoards
from cafeteria.kitchen.use_cases.ticket_actions import TakeTicketAction
from cafeteria.kitchen.use_cases.trace_order import TraceOrder


class Service(ServiceParts, frozen=True, kw_only=True):
    """The kitchen, as its routes, message handlers and jobs see it. `work_lag` is the lag of the consumer of cook commands."""

    settings: KitchenSettings
    relay: Relay
    work_lag: ConsumerLag
    enqueue_tickets: EnqueueTickets
    cook_tickets: CookTickets
    cancel_tickets: CancelTickets
    take_ticket_action: TakeTicketAction
    refuse_ticket: RefuseTicket
    list_tickets: ListTickets
    find_ticket: FindTicket
    show_boards: ShowBoards
    count_load: CountLoad
    intake: IntakeSwitch
    publish_pace: PublishPace
    check_delivery: CheckDelivery
    reconcile_delivery: Reconciliation
    trace_order: TraceOrder
    purge_ended: PurgeEnded
