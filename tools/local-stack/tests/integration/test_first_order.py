"""What the README tells a newcomer to type works as it stands there, in this system's own shell: `./just up`, and a first order.

This is the smoke test for each system that the project is meant to run on.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cafeteria.contracts.bus import GATEWAY
from cafeteria.local_stack.child import is_alive
from cafeteria.local_stack.home import Home

ROOT = Path(__file__).parents[4]
OPEN = "keeps the data"  # the end of the last line before the stack only runs
STATUSES = ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY"]
COOKED_WITHIN_S = 60.0


async def test_the_first_order_of_the_readme_is_followed_to_ready_and_ctrl_c_ends_all(
    up: Callable[..., AbstractAsyncContextManager[Any]], home: Home
) -> None:
    async with up(home, command=(str(ROOT / "just"), "up")) as running:
        await running.says(OPEN)
        base = urlsplit(running.url(GATEWAY)).port
        family = running.children()
        async with typed(first_order(base or 0)) as lines:
            assert await statuses(lines) == STATUSES
        os.killpg(running.process.pid, signal.SIGINT)
        assert await running.ends() == 0
    assert "stopping" in running.output
    assert not [process for process in family if is_alive(process)]


def first_order(base: int) -> str:
    """The commands of the README's section, at the ports of this stack."""
    section = (ROOT / "README.md").read_text().partition("\n## A first order\n")[2].partition("\n## ")[0]
    commands = "\n".join(re.findall(r"^```sh\n(.+?)^```", section, flags=re.MULTILINE | re.DOTALL))
    moved = re.sub(r"localhost:80(\d\d)/", lambda found: f"localhost:{base + int(found[1])}/", commands)
    assert moved != commands
    return moved


@asynccontextmanager
async def typed(commands: str) -> AsyncIterator[asyncio.StreamReader]:
    """What they print; the last of them goes on until Ctrl-C."""
    shell = await asyncio.create_subprocess_exec("sh", "-euc", commands, stdout=PIPE, process_group=0)
    assert shell.stdout
    try:
        yield shell.stdout
    finally:
        os.killpg(shell.pid, signal.SIGINT)
        await shell.communicate()


async def statuses(lines: asyncio.StreamReader) -> list[str]:
    """In the order in which the stream told them, up to the last."""
    found: list[str] = []
    async with asyncio.timeout(COOKED_WITHIN_S):
        while STATUSES[-1] not in found:
            line = await lines.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:"):
                found += re.findall(r'"status":\s*"(\w+)"', line.decode())
    return found
