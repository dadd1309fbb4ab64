"""A refusal that stored nothing was correct at its time, also if another request with its key was accepted."""

from uuid import UUID

from cafeteria.faultkit.history import Exchange, History, Intent
from cafeteria.faultkit.oracle import answers_agree_with_stored_data, overtaken_refusals
from cafeteria.faultkit.snapshot import Snapshot, StoredOrder

AMINA = "210041101"
STORED = Snapshot(
    items=(),
    orders={
        UUID(int=1): StoredOrder(
            order_id=UUID(int=1),
            student_id=AMINA,
            status="READY",
            version=4,
            reason=None,
            lines={},
            released=False,
            key=f"{AMINA}:k",
            response_status=201,
            response_body=b"",
        )
    },
    decisions={},
    taken={},
    tickets=(),
    notifications=(),
    outbox_rows=0,
    dead_letters=(),
)


def sent(status: int | None, *, at_s: float, until_s: float) -> Exchange:
    return Exchange(
        intent=Intent.ORDER, student_id=AMINA, key="k", sent_at_s=at_s, ended_at_s=until_s, status=status
    )


def violations(*exchanges: Exchange) -> list[str]:
    return list(answers_agree_with_stored_data(STORED, History(exchanges=list(exchanges))))


def test_a_refusal_during_an_acceptance_is_correct_and_is_counted() -> None:
    exchanges = [sent(409, at_s=1.0, until_s=1.1), sent(201, at_s=1.0, until_s=1.3)]
    assert violations(*exchanges) == []
    assert overtaken_refusals(STORED, History(exchanges=exchanges)) == 1


def test_a_refusal_while_an_unanswered_request_is_in_transit_is_correct() -> None:
    assert violations(sent(None, at_s=1.0, until_s=2.0), sent(409, at_s=3.0, until_s=3.1)) == []


def test_a_refusal_after_a_receipt_is_wrong() -> None:
    for status in (201, 202):
        [sentence] = violations(sent(status, at_s=1.0, until_s=1.2), sent(409, at_s=1.3, until_s=1.4))
        assert "was answered 409 after the order had been received" in sentence


def test_only_refusals_for_a_cooked_order_are_wrong() -> None:
    [sentence] = violations(sent(409, at_s=1.0, until_s=1.2), sent(409, at_s=1.3, until_s=1.4))
    assert "was answered only 409 and the order is READY" in sentence
