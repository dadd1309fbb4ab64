"""The refusals of the kitchen. Each names the ticket's state, so that the screen can show it."""

from uuid import UUID

from cafeteria.chassis.runtime.errors import Conflict, NotFound
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.problems import ProblemCode


class TicketNotFound(NotFound):
    def __init__(self, ticket_id: UUID) -> None:
        super().__init__(f"There is no ticket {ticket_id}.")


class IllegalTransition(Conflict):
    """The ticket's state does not allow this step; nothing was changed."""

    code = ProblemCode.ILLEGAL_TRANSITION
    title = "Not possible in this state"

    def __init__(self, *, order_id: UUID, standing: TicketStatus, asked: TicketStatus, because: str) -> None:
        super().__init__(
            f"The ticket is {standing} and cannot become {asked}: {because} Nothing was changed.",
            order_id=order_id,
        )
        self.standing = standing
        self.asked = asked
