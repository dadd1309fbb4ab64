"""Starts the probe service again and again without loading it each time: every probe is a fork of this process.

Each line of input asks for one: its variables, the file of its output and the file that gets its exit code. The
answer is its process id. A fork sees its variables from `run` on; what imports read is tested with `probe_service.py`
as it is.
"""

import contextlib
import gc
import json
import os
import sys
from pathlib import Path

from probe_service import serve


def fork_and_keep(order: dict[str, str]) -> None:
    """In a process of its own: fork the probe, say its id, wait for its end."""
    if probe := os.fork():
        print(probe, flush=True)  # noqa: T201 - the answer
        _, status = os.waitpid(probe, 0)
        Path(order["exit_code"]).write_text(str(os.waitstatus_to_exitcode(status)))
        os._exit(0)
    be_probe(order["log"], json.loads(order["environ"]))


def be_probe(log: str, environ: dict[str, str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environ)
    sys.exit(serve())


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # or each fork would look through, and copy, all that was loaded
    for line in sys.stdin:
        if os.fork() == 0:
            fork_and_keep(json.loads(line))
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()  # none outlives this process
