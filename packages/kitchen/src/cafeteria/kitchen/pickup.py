"""Every ticket has a number that the hall may read, and a code that nobody can work out from numbers or other codes.

Both come from the ticket's sequence number. The code is a keyed bijection, so 810,000 tickets in a row have different codes,
and a code is found again without an index.
"""

import hmac

from cafeteria.contracts.values import Pickup

NUMBERS = 1_000
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0 O, 1 I L, U: they look like others
CODE_LENGTH = 4
_HALF = len(ALPHABET) ** 2
CODES = _HALF * _HALF
_ROUNDS = 4  # as many as make a Feistel network hard to tell from a random permutation


def pickup_of(sequence: int, key: bytes) -> Pickup:
    """Return number and code of the ticket with this sequence number."""
    return Pickup(number=sequence % NUMBERS, code=code_of(sequence, key))


def code_of(sequence: int, key: bytes) -> str:
    left, right = divmod(sequence % CODES, _HALF)
    for turn in range(_ROUNDS):
        left, right = right, (left + _mixed(turn, right, key)) % _HALF
    return _written(left) + _written(right)


def sequence_of(code: str, key: bytes) -> int:
    """Return the sequence number, modulo CODES, that has this code. Raises ValueError for what is no code."""
    if len(code) != CODE_LENGTH:
        raise ValueError(f"a pickup code has {CODE_LENGTH} characters")
    left, right = _read(code[:2]), _read(code[2:])
    for turn in reversed(range(_ROUNDS)):
        left, right = (right - _mixed(turn, left, key)) % _HALF, left
    return left * _HALF + right


def _mixed(turn: int, half: int, key: bytes) -> int:
    return int.from_bytes(hmac.digest(key, bytes((turn,)) + half.to_bytes(2, "big"), "sha256")[:8], "big")


def _written(half: int) -> str:
    first, second = divmod(half, len(ALPHABET))
    return ALPHABET[first] + ALPHABET[second]


def _read(pair: str) -> int:
    return ALPHABET.index(pair[0]) * len(ALPHABET) + ALPHABET.index(pair[1])
