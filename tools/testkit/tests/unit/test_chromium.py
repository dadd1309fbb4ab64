"""Which browser drives the pages, and what is said where there is none."""

from pathlib import Path

import pytest

from cafeteria.testkit.chromium import NoChromiumError, find_chromium


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "chromium"
    path.touch()
    return path


def test_the_first_installed_browser_is_taken(program: Path) -> None:
    assert find_chromium({}, [str(program.with_name("absent")), str(program)]) == program


def test_the_named_browser_comes_before_all_others(program: Path) -> None:
    assert find_chromium({"CAFETERIA_CHROMIUM": str(program)}, [__file__]) == program


def test_a_named_browser_that_is_not_there_is_an_error(program: Path) -> None:
    named = str(program.with_name("absent"))
    with pytest.raises(NoChromiumError, match=f"CAFETERIA_CHROMIUM names {named}"):
        find_chromium({"CAFETERIA_CHROMIUM": named}, [str(program)])


def test_without_a_browser_one_sentence_says_how_to_get_one() -> None:
    with pytest.raises(NoChromiumError, match=r"apt-get install chromium.*CAFETERIA_CHROMIUM"):
        find_chromium({}, [])
