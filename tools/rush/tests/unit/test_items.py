"""Items that a fault writes are unreadable to every receiver, and a new grouping of items loses none."""

import random
from collections import Counter

import msgspec
import pytest

from cafeteria.contracts.subjects import GATEWAY_STATUS, WORK_PLACED
from cafeteria.faultkit.stored_messages import is_readable, items_of, packed
from cafeteria.rush.faults.items import UNREADABLE_ITEMS, dealt
from cafeteria.rush.faults.messages import UNREADABLE

STATUS = GATEWAY_STATUS.subject
EVENT = msgspec.json.encode(
    {
        "order_id": "00000000-0000-0000-0000-000000000007",
        "student_id": "210041101",
        "status": "PENDING",
        "version": 1,
        "at": "2026-03-18T17:00:00Z",
    }
)


@pytest.mark.parametrize("item", UNREADABLE_ITEMS, ids=range(len(UNREADABLE_ITEMS)))
@pytest.mark.parametrize("subject", [STATUS, WORK_PLACED.subject])
def test_no_receiver_can_read_a_poisoned_item_and_its_neighbours_stay_items(
    item: bytes, subject: str
) -> None:
    assert items_of(subject, packed(subject, [EVENT, item, EVENT])) == [EVENT, item, EVENT]
    assert not is_readable(subject, item)


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_poison_has_no_readable_item(body: bytes) -> None:
    for subject in (STATUS, WORK_PLACED.subject):
        assert not any(is_readable(subject, item) for item in items_of(subject, body) or ())


@pytest.mark.parametrize("seed", range(20))
def test_items_are_repacked_into_other_messages_and_none_is_lost(seed: int) -> None:
    items = [b"%d" % number for number in range(300)]
    groups = dealt(items, random.Random(seed))  # noqa: S311 - repeatable on purpose
    assert Counter(item for group in groups for item in group) == Counter(items)
    assert all(1 <= len(group) <= 256 for group in groups)
