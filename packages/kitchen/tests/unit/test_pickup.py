"""Pickup codes: different for every ticket, found again without an index, and told by no other code."""

import random
from collections.abc import Callable

import pytest

from cafeteria.kitchen.pickup import ALPHABET, CODE_LENGTH, CODES, code_of, pickup_of, sequence_of

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


@pytest.mark.parametrize("sequence", [0, 1, 416, 417, 999, 1_000, 899, 900, 809_999])
def test_a_code_leads_back_to_its_ticket(sequence: int) -> None:
    assert sequence_of(code_of(sequence, KEY), KEY) == sequence


def test_no_two_of_many_tickets_in_a_row_have_one_code() -> None:
    codes = {code_of(sequence, KEY) for sequence in range(805_000, 825_000)}
    assert len(codes) == 20_000
    assert {character for code in codes for character in code} == set(ALPHABET)
    assert {len(code) for code in codes} == {CODE_LENGTH}


def test_codes_and_numbers_repeat_only_after_all_were_used() -> None:
    first, later = pickup_of(417, KEY), pickup_of(417 + CODES, KEY)
    assert (first.number, first.code) == (later.number, later.code)
    assert pickup_of(1_417, KEY).number == first.number
    assert pickup_of(1_417, KEY).code != first.code


def test_another_key_gives_other_codes() -> None:
    same = sum(code_of(sequence, KEY) == code_of(sequence, OTHER_KEY) for sequence in range(10_000))
    assert same <= 3  # by chance it is one in 810,000


def test_who_knows_a_thousand_codes_guesses_no_other_better_than_by_chance() -> None:
    """The best that a reader of the source can do without the key: differences and copies of what is known."""
    known = {sequence: _place(code_of(sequence, KEY)) for sequence in range(1_000)}
    steps = [known[n + 1] - known[n] for n in range(999)]
    chance = random.Random(1)  # noqa: S311 - repeatable on purpose
    guesses: list[Callable[[int], int]] = [
        lambda n: known[n % 1_000] + steps[n % 999],
        lambda n: known[999] + (n - 999) * steps[-1],
        lambda n: _place(code_of(n, OTHER_KEY)),
        lambda _: chance.randrange(CODES),
    ]
    for guess in guesses:
        assert sum(guess(n) % CODES == _place(code_of(n, KEY)) for n in range(1_000, 6_000)) <= 2


@pytest.mark.parametrize("text", ["", "K7F", "K7F22", "k7f2", "K0F2", "K7FÜ"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"code|substring"):
        sequence_of(text, KEY)


def _place(code: str) -> int:
    place = 0
    for character in code:
        place = place * len(ALPHABET) + ALPHABET.index(character)
    return place
