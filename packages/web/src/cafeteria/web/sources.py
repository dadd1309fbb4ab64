"""What stands in the pages' sources: which files a page loads, which words it uses, and what its templates show.

Read by a real parser, for the tests that hold the pages to their rules; the extra `check` brings it.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from html.parser import HTMLParser
from pathlib import Path

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from cafeteria.web.assets import SITE

_PARSER = Parser(Language(tree_sitter_javascript.language()))
_LOADED_LINKS = {"stylesheet", "modulepreload", "icon", "manifest"}
_FUNCTIONS = {
    "function_declaration",
    "function_expression",
    "generator_function_declaration",
    "arrow_function",
    "method_definition",
}
FIRST_LANGUAGE = "en"


@dataclass(frozen=True)
class Call:
    node: Node
    arguments: tuple[Node, ...]


class Module:
    """One parsed JavaScript file. `path` is below SITE; the files that it names are, too."""

    def __init__(self, path: str, root: Node) -> None:
        self.path = path
        self.nodes = tuple(_descendants(root))
        self._calls: dict[str, list[Call]] = {}
        for node in self.nodes:
            if node.type == "call_expression":
                arguments = node.child_by_field_name("arguments")
                call = Call(node, tuple(arguments.named_children) if arguments else ())
                self._calls.setdefault(_text(node.child_by_field_name("function")), []).append(call)

    @cached_property
    def imports(self) -> frozenset[str]:
        """What loads before this module runs."""
        sources = [
            node.child_by_field_name("source")
            for node in self.nodes
            if node.type in {"import_statement", "export_statement"}
        ]
        return frozenset(self._resolved(text_of(source)) for source in sources if source)

    @cached_property
    def lazy_imports(self) -> frozenset[str]:
        """What `import("…")` loads when it is needed. Computed names are the words' alone."""
        found = [call.arguments[0] for call in self.calls("import") if call.arguments]
        return frozenset(self._resolved(text_of(node)) for node in found if node.type == "string")

    @cached_property
    def words(self) -> frozenset[str]:
        """The files of words that `speak("…")` loads, in the first language."""
        pages = [text_of(call.arguments[0]) for call in self.calls("speak") if call.arguments]
        return frozenset(f"words/{FIRST_LANGUAGE}/{name}.js" for page in pages for name in ("common", page))

    def calls(self, name: str) -> list[Call]:
        return self._calls.get(name, [])

    def strings(self) -> Iterator[str]:
        """Yield the values of all string literals; comments are none."""
        yield from (text_of(node) for node in self.nodes if node.type == "string")

    def functions(self) -> Iterator[tuple[str, int]]:
        """Yield the place of each function, as `path:line`, and how many lines it has."""
        for node in self.nodes:
            if node.type in _FUNCTIONS:
                first, last = node.start_point.row, node.end_point.row
                yield f"{self.path}:{first + 1}", last - first + 1

    def _resolved(self, source: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.path), source))


def module(path: str) -> Module:
    """Parse a file below SITE. Raises ValueError if it is no JavaScript, FileNotFoundError if it is not there."""
    return _parsed(SITE, path)


@cache
def _parsed(site: Path, path: str) -> Module:
    root = _PARSER.parse((site / path).read_bytes()).root_node
    if root.has_error:
        raise ValueError(f"{path} is no JavaScript")
    return Module(path, root)


def closure(page: str, *, is_whole: bool = True) -> frozenset[str]:
    """Return all files that a page may load; with `is_whole` false those that its first sight needs."""
    loaded = {page}
    waiting = set(page_links(page))
    while waiting:
        path = waiting.pop()
        loaded.add(path)
        if path.endswith(".js"):
            source = module(path)
            found = source.imports | source.words | (source.lazy_imports if is_whole else frozenset())
            waiting |= found - loaded
    return frozenset(loaded)


def page_links(page: str) -> frozenset[str]:
    """Return what the page's own HTML asks for."""
    return frozenset(address for _, address in html_of(page).loads)


def preloads(page: str) -> frozenset[str]:
    return frozenset(address for relation, address in html_of(page).loads if relation == "modulepreload")


class Html(HTMLParser):
    """The parts of a page or a template that rules are about: what it loads, its tags, and its texts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.loads: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append((tag, named))
        if tag == "link" and named.get("rel") in _LOADED_LINKS:
            self.loads.append((named["rel"], named["href"]))
        if tag == "script" and "src" in named:
            self.loads.append(("script", named["src"]))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.tags[-1][0] if self.tags else "", data))


def html_of(page: str) -> Html:
    parsed = Html()
    parsed.feed((SITE / page).read_text(encoding="utf-8"))
    parsed.close()
    return parsed


def text_of(node: Node) -> str:
    """Return the value of a string literal."""
    return re.sub(r"\\(.)", r"\1", _text(node)[1:-1])


def results(node: Node) -> Iterator[Node]:
    """Yield the nodes that an expression may come to: both sides of a choice, the parts of a list."""
    if node.type == "ternary_expression":
        yield from _results_of(node, "consequence", "alternative")
    elif node.type == "binary_expression" and _text(node.child_by_field_name("operator")) in {"||", "??"}:
        yield from _results_of(node, "left", "right")
    elif node.type == "binary_expression" and _text(node.child_by_field_name("operator")) == "&&":
        yield from _results_of(node, "right")
    elif node.type in {"parenthesized_expression", "array", "template_substitution"}:
        for child in node.named_children:
            yield from results(child)
    else:
        yield node


def _results_of(node: Node, *fields: str) -> Iterator[Node]:
    for field in fields:
        if child := node.child_by_field_name(field):
            yield from results(child)


def _descendants(node: Node) -> Iterator[Node]:
    yield node
    for child in node.named_children:
        yield from _descendants(child)


def _text(node: Node | None) -> str:
    return (node.text or b"").decode() if node else ""
