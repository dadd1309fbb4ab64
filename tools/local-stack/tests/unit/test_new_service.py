"""A name that cannot be used is refused in a sentence, and nothing is written unless all of it can be."""

import shutil
from pathlib import Path

import pytest

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack import new_service
from cafeteria.local_stack.new_service import COMPOSE, LISTS, Names, NewServiceError, check_name, main, plan

ROOT = Path(__file__).parents[4]
LOYALTY = Names(name="loyalty")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The files that list services, and nothing else."""
    for path in LISTS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["", "Loyalty", "1st", "_a", "gift-cards", "a b", "a\n", "é", "../a", "a" * 31]
)
def test_a_name_of_another_form_is_refused(name: str, workspace: Path) -> None:
    with pytest.raises(NewServiceError, match="small letters"):
        check_name(name, workspace)


@pytest.mark.parametrize("name", ["class", "order", "user", "pg_stat", "public", "admin", "bus", "nats"])
def test_a_name_that_means_something_else_is_refused(name: str, workspace: Path) -> None:
    with pytest.raises(NewServiceError, match="take another name"):
        check_name(name, workspace)


@pytest.mark.parametrize("name", ["kitchen", "chassis", "contracts", "values", "local_stack"])
def test_a_name_that_is_in_use_is_refused(name: str, workspace: Path) -> None:
    with pytest.raises(NewServiceError, match="There is a"):
        check_name(name, workspace)


def test_a_folder_with_the_distributions_name_is_in_use(workspace: Path) -> None:
    (workspace / "tools/gift-cards").mkdir(parents=True)
    with pytest.raises(NewServiceError, match="There is a"):
        check_name("gift_cards", workspace)


def test_a_name_has_a_form_for_each_kind_of_file() -> None:
    names = Names(name="gift_cards")
    assert (names.distribution, names.constant, names.type_prefix) == (
        "gift-cards",
        "GIFT_CARDS",
        "GiftCards",
    )


def test_every_list_gets_one_line_where_the_last_service_has_one(workspace: Path) -> None:
    last = SERVICES[-1]
    files = plan(LOYALTY, workspace)
    for path in LISTS:
        before = (workspace / path).read_text().splitlines()
        added = [line for line in files[workspace / path].splitlines() if "loyalty" in line.lower()]
        copied = [line for line in before if line.lower().replace(last, "loyalty") in map(str.lower, added)]
        assert copied, path
        assert path == COMPOSE or len(added) == len(copied)


def test_a_line_that_does_more_than_list_the_service_is_not_repeated(workspace: Path) -> None:
    contracts = workspace / "packages/shared-contracts/src/cafeteria/contracts/subjects.py"
    text = plan(LOYALTY, workspace)[contracts]
    assert [line for line in text.splitlines() if "LOYALTY" in line] == [
        'LOYALTY = "loyalty"',
        "    LOYALTY,",
    ]


def test_a_file_of_another_form_stops_it_before_anything_is_written(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / COMPOSE).write_text("services: {}\n")
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    monkeypatch.chdir(workspace)

    assert main(["loyalty"]) == 1

    assert "compose.yaml has no line that lists" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()} == before


def test_a_program_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    monkeypatch.setattr("sys.executable", str(python))
    assert (
        new_service._finish(tmp_path, [tmp_path / "module.py"])
        == f"{python} -m ruff check --quiet --select=I --fix module.py"
    )
