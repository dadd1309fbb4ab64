"""What a fork adds to its log is echoed whole, also a last line that has no end."""

import asyncio
from pathlib import Path

import pytest

from cafeteria.local_stack import fork_server
from cafeteria.local_stack.fork_server import _follow, _Fork
from cafeteria.local_stack.polling import until
from cafeteria.local_stack.tasks import running


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fork_server, "FOLLOW_S", 0.01)
    return tmp_path / "log"


async def followed(log: Path, text: str) -> list[str]:
    echoed: list[str] = []
    await asyncio.to_thread(log.write_text, text)
    fork = _Fork(1)
    fork.end(0)
    await _follow(log, 0, fork, echoed.append)
    return echoed


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", []), ("one\n", ["one"]), ("one\ntwo", ["one", "two"]), ("one", ["one"]), ("\n", [""])],
)
async def test_every_line_is_echoed_once(log: Path, text: str, lines: list[str]) -> None:
    assert await followed(log, text) == lines


async def test_a_line_without_an_end_is_not_joined_to_the_first_line_of_a_rotated_log(log: Path) -> None:
    echoed: list[str] = []
    fork = _Fork(1)
    await asyncio.to_thread(log.write_text, "older\nhalf a line")
    async with running(_follow(log, 0, fork, echoed.append)):
        await until(lambda: echoed == ["older"])
        await asyncio.to_thread(log.write_text, "newer\n")
        await until(lambda: len(echoed) > 1)
    assert echoed == ["older", "half a line", "newer"]
