"""The canteen on a stream: what changed is told, within a fixed number of writes, and nothing is queued."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.kitchen import KitchenMode, Pace
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.notification.canteen import Canteen
from cafeteria.notification.canteen_broadcast import WRITES_PER_S, CanteenBroadcast

NOW = datetime(2026, 3, 1, 18, tzinfo=UTC)


class Reader:
    """Takes every block unless it is slow."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.is_slow = False

    def offer_canteen(self, block: bytes) -> bool:
        if not self.is_slow:
            self.blocks.append(block)
        return not self.is_slow

    def events(self, kind: str) -> list[Any]:
        lines = b"".join(self.blocks).decode().split("\n\n")
        found = (line.split("\ndata: ") for line in lines if line)
        return [msgspec.json.decode(data) for event, data in found if event == f"event: {kind}"]

    def left(self) -> dict[str, Any]:
        """What the reader knows to be left of each item."""
        return {
            item["name"]: item["available"] for each in self.events("menu.changed") for item in each["items"]
        }


def availability(version: int, *, complete: bool = False, **left: int) -> AvailabilityChanged:
    return AvailabilityChanged(
        complete=complete,
        items=tuple(
            ItemAvailability(
                item_id=UUID(int=sum(name.encode())),
                name=name,
                unit_price=Decimal("110.00"),
                available=available,
                version=version,
            )
            for name, available in left.items()
        ),
    )


def pace(at_s: float, queued: int) -> Pace:
    return Pace(
        at=NOW + timedelta(seconds=at_s),
        is_open=True,
        reopens_at=None,
        delay_s=0,
        mode=KitchenMode.AUTO,
        queued=queued,
        in_kitchen=0,
        ready=0,
        stations=50,
        per_min=600.0,
        prep_p50_s=5.0,
        prep_p90_s=6.6,
    )


def canteen_of(**left: int) -> tuple[Canteen, CanteenBroadcast]:
    canteen = Canteen()
    canteen.hear_availability(availability(1, complete=True, **left), at_s=0.0)
    return canteen, CanteenBroadcast(canteen, clock=lambda: NOW)


def test_a_stream_that_joins_gets_the_whole_menu_and_a_pulse() -> None:
    canteen, broadcast = canteen_of(Haleem=7, Firni=500, Tehari=0)
    canteen.hear_pace(pace(0, 12), at_s=0.0)
    reader = Reader()
    broadcast.add(reader)

    assert broadcast.turn(0.4) == 1

    [menu] = reader.events("menu.changed")
    assert [(item["name"], item["available"], item["level"]) for item in menu["items"]] == [
        ("Firni", 500, "plenty"),
        ("Haleem", 7, "few"),
        ("Tehari", 0, "gone"),
    ]
    [pulse] = reader.events("canteen.pulse")
    assert (pulse["next_s"], pulse["kitchen"]["queued"], pulse["kitchen_age_s"], pulse["menu_age_s"]) == (
        1.0,
        12,
        0.4,
        0.4,
    )
    assert b"id:" not in b"".join(reader.blocks)


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [(500, 400, False), (21, 20, True), (7, 6, True), (1, 0, True), (0, 1, True), (20, 21, True)],
)
def test_a_number_is_told_while_few_are_left(before: int, after: int, *, is_told: bool) -> None:
    canteen, broadcast = canteen_of(Haleem=before)
    reader = Reader()
    broadcast.add(reader)
    broadcast.turn(0.0)
    canteen.hear_availability(availability(2, Haleem=after), at_s=0.1)
    broadcast.turn(0.2)
    assert len(reader.events("menu.changed")) == 1 + is_told
    assert reader.left()["Haleem"] == (after if is_told else before)


def test_an_item_that_is_not_heard_of_for_three_seconds_is_unknown() -> None:
    canteen, broadcast = canteen_of(Haleem=7)
    reader = Reader()
    broadcast.add(reader)
    broadcast.turn(0.0)
    broadcast.turn(3.1)
    assert reader.left() == {"Haleem": None}
    canteen.hear_availability(availability(1, Haleem=7), at_s=3.2)
    broadcast.turn(3.3)
    assert reader.left() == {"Haleem": 7}


def test_an_item_that_a_complete_menu_lacks_is_unknown_to_open_and_to_later_streams() -> None:
    canteen, broadcast = canteen_of(Haleem=7, Firni=500)
    early, late = Reader(), Reader()
    broadcast.add(early)
    broadcast.turn(0.0)
    canteen.hear_availability(availability(5, complete=True, Firni=500), at_s=0.2)
    broadcast.turn(0.2)
    assert early.left() == {"Haleem": None, "Firni": 500}
    broadcast.add(late)
    broadcast.turn(0.3)
    assert late.left() == {"Haleem": None, "Firni": 500}
    assert [item["level"] for item in late.events("menu.changed")[0]["items"]] == ["plenty", "unknown"]

    canteen.hear_availability(availability(0, complete=True, Haleem=6, Firni=500), at_s=0.4)
    broadcast.turn(0.4)
    assert early.left()["Haleem"] == late.left()["Haleem"] == 6


def test_many_changes_in_a_short_time_are_told_once() -> None:
    canteen, broadcast = canteen_of(Haleem=20)
    reader = Reader()
    broadcast.add(reader)
    for number in range(15):
        canteen.hear_availability(availability(2 + number, Haleem=20 - number), at_s=number / 100)
        broadcast.turn(number / 100)
    broadcast.turn(0.16)
    assert [menu["items"][0]["available"] for menu in reader.events("menu.changed")] == [20, 6]


def test_a_slow_stream_gets_the_newest_state_and_nothing_of_what_is_past() -> None:
    canteen, broadcast = canteen_of(Haleem=20, Firni=3)
    reader = Reader()
    broadcast.add(reader)
    broadcast.turn(0.0)
    reader.is_slow = True
    for second in range(1, 6):
        canteen.hear_availability(
            availability(1 + second, complete=True, Haleem=20 - second, Firni=3), at_s=float(second)
        )
        canteen.hear_pace(pace(second, second), at_s=float(second))
        broadcast.turn(float(second))
    reader.is_slow = False
    broadcast.turn(6.0)
    assert [item["available"] for item in reader.events("menu.changed")[-1]["items"]] == [15]
    assert len(reader.events("menu.changed")) == 2
    assert [each["kitchen"] and each["kitchen"]["queued"] for each in reader.events("canteen.pulse")] == [
        None,
        5,
    ]


def test_a_pace_that_is_older_than_the_kept_one_is_ignored() -> None:
    canteen, _ = canteen_of(Haleem=1)
    for at_s, queued in ((2, 20), (1, 10)):
        canteen.hear_pace(pace(at_s, queued), at_s=0.5)
    kept = canteen.pulse(at=NOW, at_s=0.5, next_s=1.0).kitchen
    assert kept is not None
    assert kept.queued == 20


@pytest.mark.parametrize("streams", [1_000, 5_000])
def test_no_second_has_more_writes_than_it_may(streams: int) -> None:
    canteen, broadcast = canteen_of(Haleem=20)
    readers = [Reader() for _ in range(streams)]
    for reader in readers:
        broadcast.add(reader)
    writes: list[tuple[float, int]] = []
    for turn in range(200):
        at_s = turn * 0.05
        canteen.hear_availability(availability(2 + turn, complete=True, Haleem=turn % 21), at_s=at_s)
        writes.append((at_s, broadcast.turn(at_s)))
    assert max(_in_any_second(writes)) <= WRITES_PER_S
    assert sum(count for _, count in writes) >= 0.9 * 10 * min(WRITES_PER_S, streams)
    pulses = [len(reader.events("canteen.pulse")) for reader in readers[:: streams // 50]]
    assert min(pulses) >= 10 / (2 * broadcast.next_s) - 1


def test_a_change_reaches_a_thousand_streams_within_half_a_second() -> None:
    canteen, broadcast = canteen_of(Haleem=1)
    readers = [Reader() for _ in range(1_000)]
    for number, reader in enumerate(readers):
        broadcast.add(reader)
        broadcast.turn(number / 1_000)
    for turn in range(40):
        broadcast.turn(1.0 + turn * 0.05)
    canteen.hear_availability(availability(2, Haleem=0), at_s=3.01)
    for turn in range(6):
        broadcast.turn(3.05 + turn * 0.05)
    assert {reader.left()["Haleem"] for reader in readers} == {0}


def test_a_stream_that_was_removed_is_not_written_to() -> None:
    _, broadcast = canteen_of(Haleem=1)
    reader = Reader()
    broadcast.add(reader)
    broadcast.remove(reader)
    broadcast.remove(reader)
    assert broadcast.turn(0.0) == 0
    assert reader.blocks == []


def _in_any_second(writes: Iterable[tuple[float, int]]) -> list[int]:
    kept = list(writes)
    return [sum(count for at_s, count in kept if end - 1 < at_s <= end) for end, _ in kept]
