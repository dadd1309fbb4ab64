"""Validate names: readable text in one spelling, without invisible characters or changes of direction.

It has no side effects, so every service's domain may use it. "Character" means a Unicode code point here.
"""

import re
from itertools import pairwise
from unicodedata import category, name, normalize

_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")

_JOINERS = frozenset("\u200c\u200d")
_JOINED = frozenset({"Lo", "Mn", "Mc", "So", "Sk"})
"""Categories that a joiner may follow: letters without case, as in Bengali and Persian, their signs, pictographs."""

_VARIATION_SELECTORS = frozenset(
    chr(code) for span in ((0x180B, 0x180E), (0xFE00, 0xFE10), (0xE0100, 0xE01F0)) for code in range(*span)
) | {"\u180f"}
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\U00016fe4\U0001d159")
"""Characters of the categories letter, mark and symbol that are drawn as nothing."""

_FLAG = "\U0001f3f4"
_FLAG_OF_A_REGION = re.compile(_FLAG + "[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
_PICTOGRAPHS = range(0x1F000, 0x1FB00)
"""Unicode reserves this range for pictographs: phones have new emoji before Python's tables do."""


class UnusableNameError(ValueError):
    """The text cannot be a name. The message is the reason, a clause for a person."""


def as_name(text: str) -> str:
    """The name in NFC, with each run of spaces as one plain space and none at the ends.

    Raises UnusableNameError for text without a visible character, and for characters that are controls, direction
    marks, unassigned, private, or invisible in their place. Joiners and variation selectors may follow the
    characters that they change, because names in many scripts and emoji need them.
    """
    wanted = _SPACES.sub(" ", normalize("NFC", text)).strip(" ")
    shown = _FLAG_OF_A_REGION.sub(
        _FLAG, wanted
    )  # its tags are well formed, and no other character may have tags
    for before, character in pairwise(f" {shown}"):
        if not _may_follow(before, character):
            raise UnusableNameError(f"it has {_called(character)} where nobody could see it")
    if not any(map(_is_visible, shown)):
        raise UnusableNameError("it has no visible character")
    return wanted


def _may_follow(before: str, character: str) -> bool:
    if character in _JOINERS:
        return category(before) in _JOINED or _is_new_pictograph(before)
    if character in _VARIATION_SELECTORS:
        return _is_visible(before)
    if category(character).startswith("M") and character not in _BLANKS:
        return before != " "
    return character == " " or _is_visible(character)


def _is_visible(character: str) -> bool:
    """Whether it is a letter, digit, punctuation mark or symbol that is drawn by itself."""
    return (category(character)[0] in "LNPS" and character not in _BLANKS) or _is_new_pictograph(character)


def _is_new_pictograph(character: str) -> bool:
    return ord(character) in _PICTOGRAPHS and category(character) == "Cn"


def _called(character: str) -> str:
    """Its code and its Unicode name, because the character itself is invisible."""
    return f"U+{ord(character):04X} {name(character, '')}".rstrip()
