"""The kitchen's message handlers: work from the stream, cancel requests, and delivery checks.

The kitchen acknowledges work after the commit of the batch that holds it, and answers a request after its commit.
"""

from collections.abc import Sequence

from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus
from cafeteria.contracts import subjects
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, CookOrder
from cafeteria.contracts.orders import AskKnown, KnownAnswered
from cafeteria.kitchen.service.board import Board
from cafeteria.kitchen.service.cancelling import Cancelling
from cafeteria.kitchen.service.intake import Intake

TICKETS_IN_A_COMMIT = 1_024
TICKETS_WAITING = 8_192
"""More than the consumer pulls at once, sixteen messages of 256 orders, so that delivered work is never refused."""

WorkGroup = GroupCommit[CookOrder, None]
CancelGroup = GroupCommit[CancelTicket, CancelAnswered]


def work_group(intake: Intake) -> WorkGroup:
    async def commit(work: Sequence[CookOrder]) -> list[None]:
        await intake.take(work)
        return [None] * len(work)

    return GroupCommit("kitchen-work", commit, batch_limit=TICKETS_IN_A_COMMIT, queue_limit=TICKETS_WAITING)


def cancel_group(cancelling: Cancelling) -> CancelGroup:
    return GroupCommit("kitchen-cancel", cancelling.cancel)


async def serve(bus: Bus, *, cancels: CancelGroup, board: Board) -> None:
    """Answer cancel requests and delivery checks from now on, or from the first connection on."""

    async def known(check: AskKnown) -> KnownAnswered:
        return await board.known(check.items)

    await bus.serve(subjects.CANCEL, cancels.submit)
    await bus.serve(subjects.KITCHEN_KNOWN, known)
