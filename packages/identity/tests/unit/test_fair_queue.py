"""The fair queue: the order in which entries leave it, and which one does not fit."""

import pytest

from cafeteria.identity.fair_queue import FairQueue, Share

FLOOD, HOME, CAMPUS = (
    Share(name=name, is_known=False) for name in ("203.0.113.1", "203.0.113.2", "10.0.0.1")
)
ADA, BOB = (Share(name=name, is_known=True) for name in ("210041101", "210041102"))


def filled(*entries: tuple[str, Share], limit: int = 100) -> FairQueue[str]:
    queue = FairQueue[str](limit=limit)
    for entry, share in entries:
        assert queue.push(entry, share) is None
    return queue


def drained(queue: FairQueue[str]) -> list[str]:
    return [queue.pop() for _ in range(len(queue))]


def flood(count: int) -> list[tuple[str, Share]]:
    return [(f"flood {number}", FLOOD) for number in range(count)]


def test_one_share_is_served_in_order() -> None:
    assert drained(filled(*flood(3))) == ["flood 0", "flood 1", "flood 2"]


def test_an_entry_behind_a_flood_of_another_network_waits_for_one_entry_of_it() -> None:
    queue = filled(*flood(60), ("home", HOME), ("campus", CAMPUS))
    assert drained(queue)[:4] == ["flood 0", "home", "campus", "flood 1"]


def test_a_share_that_returns_after_its_turn_waits_for_the_others() -> None:
    queue = filled(("home 0", HOME), ("campus", CAMPUS))
    assert queue.pop() == "home 0"
    queue.push("home 1", HOME)
    assert drained(queue) == ["campus", "home 1"]


def test_a_known_device_goes_first_behind_any_number_of_networks() -> None:
    networks = [(f"net {number}", Share(name=f"net {number}", is_known=False)) for number in range(50)]
    queue = filled(*networks, ("ada", ADA), ("bob", BOB))
    assert drained(queue)[:4] == ["ada", "net 0", "bob", "net 1"]


def test_known_devices_take_half_of_the_turns_at_most_while_others_wait() -> None:
    queue = filled(*[(f"ada {number}", ADA) for number in range(9)], ("home", HOME))
    served: list[str] = []
    while "home" not in served:
        served.append(queue.pop())
        queue.push("ada again", ADA)
    assert len(served) == 2


def test_a_full_queue_drops_the_newest_of_the_longest_line_and_keeps_the_newcomer() -> None:
    queue = filled(*flood(4), limit=4)
    assert queue.push("home", HOME) == "flood 3"
    assert queue.push("ada", ADA) == "flood 2"
    assert queue.push("flood again", FLOOD) == "flood again"
    assert drained(queue) == ["ada", "flood 0", "home", "flood 1"]


def test_among_equal_lines_the_newcomer_is_dropped_unless_its_device_is_known() -> None:
    queue = filled(("flood", FLOOD), ("home", HOME), limit=2)
    assert queue.push("campus", CAMPUS) == "campus"
    dropped = queue.push("ada", ADA)
    assert dropped in {"flood", "home"}
    assert queue.pop() == "ada"


def test_a_known_device_that_floods_loses_its_own_entries() -> None:
    queue = filled(*[(f"ada {number}", ADA) for number in range(3)], limit=3)
    assert queue.push("home", HOME) == "ada 2"
    assert queue.push("bob", BOB) == "ada 1"


def test_an_entry_may_leave_and_none_enters_a_queue_of_length_zero() -> None:
    queue = filled(("home", HOME), ("ada", ADA))
    queue.remove("home", HOME)
    queue.remove("home", HOME)
    assert drained(queue) == ["ada"]
    with pytest.raises(KeyError):
        queue.pop()
    assert FairQueue[str](limit=0).push("home", HOME) == "home"
