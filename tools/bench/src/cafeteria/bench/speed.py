"""The machine's present speed: a separate process repeatedly times a fixed piece of work.

Virtual machines become a fifth faster or slower from one minute to the next. The piece resembles the work of the
services: much Python, many small objects.
"""

import asyncio
import json
import sys
from select import select
from statistics import fmean
from time import process_time
from typing import Self

EVERY_S, REPEATS = 0.05, 4  # a piece takes 1 to 2 ms: some hundredths of a core
_ROWS = [{"id": number, "name": f"item {number}", "lines": [1, 2, 3, {"at": "now"}]} for number in range(40)]


class SpeedProbe:
    """Runs while its block is open; afterwards `mean_us` is the mean CPU time of a piece of work."""

    mean_us: float

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        output, _stderr = await self._process.communicate(b"")  # closes its standard input
        self.mean_us = float(output)


def main() -> None:
    """Time pieces of work until standard input ends, then print the mean in microseconds."""
    took_s = [piece_of_work()]
    while not select([sys.stdin], [], [], EVERY_S)[0]:
        took_s.append(piece_of_work())
    sys.stdout.write(f"{fmean(took_s) * 1e6:.1f}\n")


def piece_of_work() -> float:
    """Do one piece of work; returns its CPU time in seconds."""
    began_at = process_time()
    for _ in range(REPEATS):
        json.loads(json.dumps(_ROWS))
        {f"key {number}": number * 2 for number in range(300)}
    return process_time() - began_at


if __name__ == "__main__":
    main()
