"""Every sentence of the pages is a word with a key: used, there in all languages, and with its values."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree_sitter import Node

from cafeteria.web import sources
from cafeteria.web.assets import SITE, files
from cafeteria.web.sources import Call, Html, Module, module, results, text_of

FILES = files()
SCRIPTS = [path for path in FILES if path.startswith("js/")]
LANGUAGES = sorted({path.split("/")[1] for path in FILES if path.startswith("words/")})
KEY = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
STREAM_EVENTS = {"order.status", "menu.changed", "canteen.pulse"}
"""Names of the live stream, which look like keys."""

PLACEHOLDER = re.compile(r"\{(\w+)\}")
SHOWN_ATTRIBUTES = {
    "aria-label",
    "aria-description",
    "aria-valuetext",
    "alt",
    "title",
    "placeholder",
    "label",
}
PLACE = re.compile("\ue000([0-9]+)\ue001")

Sentence = frozenset[str]


def sentences(language: str) -> dict[str, Sentence]:
    """The placeholders of each key of a language, over all its files."""
    found: dict[str, Sentence] = {}
    for path in FILES:
        if path.startswith(f"words/{language}/"):
            for key, value in pairs_of(path):
                assert key not in found, f"{path}: {key} is there twice"
                found[key] = placeholders(value)
    return found


def pairs_of(path: str) -> Iterator[tuple[str, Node]]:
    exported = next(node for node in module(path).nodes if node.type == "export_statement")
    words = exported.child_by_field_name("value")
    assert words is not None
    assert words.type == "object", f"{path} exports no flat object"
    for pair in words.named_children:
        key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
        if pair.type == "pair" and key and value:
            yield text_of(key) if key.type == "string" else (key.text or b"").decode(), value


def placeholders(value: Node) -> Sentence:
    if value.type == "string":
        return frozenset(PLACEHOLDER.findall(text_of(value)))
    assert value.type == "object", "a word is a sentence, or one for each plural"
    forms = {
        (part.child_by_field_name("key") or part).text: part.child_by_field_name("value")
        for part in value.named_children
    }
    assert set(forms) >= {b"other"}, "a plural needs `other`"
    return frozenset[str]().union(*(placeholders(form) for form in forms.values() if form), {"n"})


WORDS = {language: sentences(language) for language in LANGUAGES}
KEYS = frozenset(WORDS["en"])
PREFIXES = {key.partition(".")[0] for key in KEYS}


def used_by(source: Module) -> set[str]:
    """The keys that a script names: literals anywhere, and those that fit a template of `t(`…`)`."""
    literal = {text for text in source.strings() if is_key(text)}
    return literal.union(*(fitting(pattern) for pattern in patterns_of(source)))


def is_key(text: str) -> bool:
    return bool(KEY.fullmatch(text)) and text.partition(".")[0] in PREFIXES and text not in STREAM_EVENTS


def patterns_of(source: Module) -> Iterator[re.Pattern[str]]:
    """Each template whose beginning is that of a key: what is computed in it may be any part of a key."""
    for node in source.nodes:
        if node.type == "template_string":
            shape = template_text(node)[0]
            if is_key(PLACE.sub("x", shape)) and PLACE.search(shape):
                yield re.compile("[a-z0-9_.-]+".join(map(re.escape, PLACE.split(shape)[::2])))


def fitting(pattern: re.Pattern[str]) -> set[str]:
    return {key for key in KEYS if pattern.fullmatch(key)}


def template_text(template: Node) -> tuple[str, list[Node]]:
    """The text of a template with a mark for each computed part, and these parts."""
    whole, start = template.text or b"", template.start_byte
    text, end = "", 1
    parts: list[Node] = []
    for part in (child for child in template.named_children if child.type == "template_substitution"):
        text += whole[end : part.start_byte - start].decode() + f"\ue000{len(parts)}\ue001"
        parts.append(part)
        end = part.end_byte - start
    return text + whole[end:-1].decode(), parts


def test_a_used_key_is_there() -> None:
    named = {key: script for script in SCRIPTS for key in module(script).strings() if is_key(key)}
    assert {key: script for key, script in named.items() if key not in KEYS} == {}


def test_a_computed_key_fits_one_that_is_there() -> None:
    patterns = {pattern: script for script in SCRIPTS for pattern in patterns_of(module(script))}
    assert {pattern: script for pattern, script in patterns.items() if not fitting(pattern)} == {}


def test_what_t_is_given_is_a_key() -> None:
    """A literal that does not look like a key escapes the rules above."""
    given = {text_of(node) for call in calls_of("t") for node in keys_of(call)}
    assert given - KEYS == set()


def calls_of(name: str) -> Iterator[Call]:
    for script in SCRIPTS:
        yield from module(script).calls(name)


def keys_of(call: Call) -> Iterator[Node]:
    if call.arguments:
        yield from (node for node in results(call.arguments[0]) if node.type == "string")


def test_a_sentence_is_given_its_values() -> None:
    for call in calls_of("t"):
        given = given_values(call)
        for node in keys_of(call):
            needed = WORDS["en"].get(text_of(node), frozenset())
            assert given is None or needed <= given, f"{text_of(node)} needs {set(needed)}"


def given_values(call: Call) -> set[str] | None:
    """The names of the values of a call; None where they are computed."""
    if len(call.arguments) < 2:
        return set()
    values = call.arguments[1]
    if values.type != "object" or any(part.type == "spread_element" for part in values.named_children):
        return None
    keys = (part.child_by_field_name("key") or part for part in values.named_children)
    return {(key.text or b"").decode().strip("\"'") for key in keys}


def test_every_key_is_used() -> None:
    used = set().union(*(used_by(module(script)) for script in SCRIPTS))
    assert KEYS - used == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_the_same_keys_with_the_same_placeholders(language: str) -> None:
    assert WORDS[language] == WORDS["en"]


def test_the_languages_that_the_pages_offer_are_those_that_have_words() -> None:
    text = (SITE / "js/words.js").read_text(encoding="utf-8")
    offered = re.search(r"export const languages = \[(.*?)\]", text)
    assert offered
    assert sorted(re.findall(r'"(\w+)"', offered[1])) == LANGUAGES


def test_a_template_has_no_letters_of_its_own() -> None:
    """What a person reads comes from the words: in texts, in the attributes that are read out, and in computed parts."""
    calls = (*calls_of("html"), *calls_of("svg"))
    templates = [
        node for call in calls for node in call.node.named_children if node.type == "template_string"
    ]
    assert [text for template in templates for text in written_in(template)] == []


def written_in(template: Node) -> Iterator[str]:
    text, parts = template_text(template)
    parsed = Html()
    parsed.feed(text)
    parsed.close()
    attributes = (
        value for _, named in parsed.tags for name, value in named.items() if name in SHOWN_ATTRIBUTES
    )
    for shown in (*(text for _, text in parsed.texts), *attributes):
        if has_letters(PLACE.sub("", shown)):
            yield PLACE.sub("…", shown)
        for number in PLACE.findall(shown):
            yield from literals(parts[int(number)])


def literals(part: Node) -> Iterator[str]:
    """The texts that a computed part may come to without asking the words."""
    for node in results(part):
        text = ""
        if node.type == "string":
            text = text_of(node)
        elif node.type == "template_string":
            text = PLACE.sub("", template_text(node)[0])
        if has_letters(text):
            yield text


def test_what_is_announced_comes_from_the_words() -> None:
    shown = [call.arguments[0] for call in calls_of("announce") if call.arguments]
    assert [text for node in shown for text in literals(node)] == []


def has_letters(text: str) -> bool:
    return any(character.isalpha() for character in text)


PLANTED = {
    "a text": ("html`<p>Sold out</p>`", ["Sold out"]),
    "a text between computed parts": ("html`<p>${n} left of ${all}</p>`", ["… left of …"]),
    "an attribute that is read out": ('html`<input placeholder="Find a dish" />`', ["Find a dish"]),
    "a literal that a part comes to": ('html`<p>${isOn ? "On" : t("x.off")}</p>`', ["On"]),
    "a literal in a computed attribute": ("html`<i aria-label=${name ?? `Dish ${n}`}></i>`", ["Dish "]),
    "a template inside another": ("html`<ul>${all.map((each) => html`<li>Dish</li>`)}</ul>`", ["Dish"]),
    "no class, no name of an element, no comment": (
        'html`<p class="card ${a ? "wide" : "slim"}"><!-- a note -->${t("x.y")}&nbsp;৳</p>`',
        [],
    ),
    "nothing where the words are asked": ('html`<p title=${t("x.y")}>${count ? t("x.y") : nothing}</p>`', []),
}


@pytest.mark.parametrize(("source", "found"), PLANTED.values(), ids=PLANTED)
def test_the_rule_about_letters_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, found: list[str]
) -> None:
    monkeypatch.setattr(sources, "SITE", tmp_path)
    (tmp_path / "x.js").write_text(f"show({source});", encoding="utf-8")
    calls = module("x.js").calls("html")
    templates = [
        node for call in calls for node in call.node.named_children if node.type == "template_string"
    ]
    assert [text for template in templates for text in written_in(template)] == found
