"""A name may have words of every script and emoji, and no invisible or direction-changing character."""

# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones

import pytest

from cafeteria.chassis.runtime.visible_text import UnusableNameError, as_name


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "O'Brien-Łukasz, Jr.",
        "7 Up",
        "রুমানা আক্তার",
        "র\u200d্যাব",  # a joiner before its sign
        "ত্\u200d",  # khanda ta as it was written before it had a letter of its own
        "ක්\u200dෂ",
        "محمد",
        "می\u200cخواهم",
        "שָׁלוֹם",
        "김민수",
        "葛\U000e0100",  # one of a letter's two shapes, as a family writes it
        "ᠮᠣᠩᠭᠣᠯ\u180b",
        "🍛",
        "❤\ufe0f",
        "1\ufe0f\u20e3",
        "👩🏽\u200d🍳",
        "👁\ufe0f\u200d🗨\ufe0f",
        "\U0001f3f4\u200d☠\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "\U0001faef",  # of a Unicode later than the oldest Python's
        "½ chicken ™",
        "!",
    ],
    ids=ascii,
)
def test_names_of_every_script_and_emoji_are_unchanged(name: str) -> None:
    assert as_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Ada  Lovelace ", "Ada Lovelace"),
        ("\u3000Ada\u00a0\u202f\u2009Lovelace\u1680", "Ada Lovelace"),
        ("A\u030angstro\u0308m", "Ångström"),
        ("\u212bngstr\u00f6m", "Ångström"),
        ("\u09af\u09bc", "\u09af\u09bc"),
        ("\u09df", "\u09af\u09bc"),
        ("\u0995\u09c7\u09be", "\u0995\u09cb"),
    ],
    ids=ascii,
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    assert as_name(text) == name
    assert as_name(name) == name


ALONE = (
    "\u200b \u200c \u200d \u200e \u2060 \u2800 \u3164 \uffa0 \u115f \u1160 \ufeff \u00ad \u034f \ufe0f \ufe00"
)
ALONE += " \U000e0041 \U000e0001 \U000e0100 \u0301 \u09be \u180e \u180b \u17b4 \ufffc \U0001d159 \u20e3"


@pytest.mark.parametrize("text", ["", " ", "\u00a0", "\u3000\u2003", *ALONE.split(" ")], ids=ascii)
def test_a_name_has_a_visible_character(text: str) -> None:
    for repeated in (text, text * 3, f" {text} {text}"):
        with pytest.raises(UnusableNameError):
            as_name(repeated)


DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = "\x00\x07\t\n\r\x1b\x7f\x85\u2028\u2029\ufff9\ufffb"
NONSENSE = "\ud800\udfff\ue000\U000f0000\ufdd0\uffff\u0378\U000e0041"
INVISIBLE = "\u00ad\u200b\u2060\u2061\u2065\u206a\ufeff\u034f\u115f\u2800\u3164\uffa0"


@pytest.mark.parametrize("character", [*DIRECTIONS, *CONTROLS, *NONSENSE, *INVISIBLE], ids=ascii)
def test_nothing_invisible_hides_in_a_name(character: str) -> None:
    for text in (f"Beef {character}haleem", f"Beef{character}", f"{character}Beef", f"বিফ{character}"):
        with pytest.raises(UnusableNameError, match=rf"U\+{ord(character):04X}"):
            as_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "ad\u200dmin",
        "Ada\u200c",
        "\u200cAda",
        "می\u200c\u200cخواهم",
        "👩 \u200d🍳",
        "❤\ufe0f\ufe0f",
        "Ada \ufe0f",
        "\u0301Ada",
        "Ada \u0301",
        "\U0001f3f4\U000e0067",
        "a\U000e0067\U000e007f",
    ],
    ids=ascii,
)
def test_a_modifier_without_a_character_to_modify_is_refused(text: str) -> None:
    with pytest.raises(UnusableNameError):
        as_name(text)
