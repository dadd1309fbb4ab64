"""The reader of the sources finds what is there: each rule about the pages is only as good as it."""

from pathlib import Path

import pytest

from cafeteria.web import sources
from cafeteria.web.sources import closure, module, results


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sources, "SITE", tmp_path)
    return tmp_path


def plant(site: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = site / name.replace("__", "/").replace("_html", ".html").replace("_js", ".js")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_closure_follows_imports_exports_links_and_words(site: Path) -> None:
    plant(
        site,
        page_html='<link rel="stylesheet" href="a.css"><script type="module" src="js/main.js"></script>',
        js__main_js='import { b } from "./b.js"; await speak("student");',
        js__b_js='export { c } from "../c.js";\n// import "./comment.js"\n/** @type {import("./d.js").D} */',
        c_js='const late = () => import("./js/late.js"); const text = "import x from \'y.js\'";',
        js__late_js="export const late = 1;",
        words__en__common_js="export default {};",
        words__en__student_js="export default {};",
    )
    first = {
        "page.html",
        "a.css",
        "js/main.js",
        "js/b.js",
        "c.js",
        "words/en/common.js",
        "words/en/student.js",
    }
    assert closure("page.html", is_whole=False) == first
    assert closure("page.html") == first | {"js/late.js"}


def test_what_is_no_javascript_is_named(site: Path) -> None:
    plant(site, broken_js="const = 1;")
    with pytest.raises(ValueError, match=r"broken\.js is no JavaScript"):
        module("broken.js")


def test_the_results_of_an_expression_are_all_it_may_come_to(site: Path) -> None:
    plant(site, x_js='show(a ? "one" : (b && "two") || ["three", c ?? "four"]);')
    call = module("x.js").calls("show")[0]
    found = [node.text for node in results(call.arguments[0]) if node.type == "string"]
    assert found == [b'"one"', b'"two"', b'"three"', b'"four"']


def test_a_functions_lines_are_counted_from_its_head(site: Path) -> None:
    plant(site, x_js="const f = () => {\n  return 1;\n};\nfunction g() {}\n")
    assert list(module("x.js").functions()) == [("x.js:1", 3), ("x.js:4", 1)]
