"""Starts the probe service many times and loads it only once: every probe is a fork of this process.

Each line of input starts a probe; it has the variables, the path of the log and the path for the exit code. The answer
is the process id. A fork reads its variables from `run` on; tests of variables that imports read start
`probe_service.py` itself.
"""

import contextlib
import gc
import json
import os
import sys
from pathlib import Path

from probe_service import serve


def fork_and_wait(order: dict[str, str]) -> None:
    """In its own process: fork the probe, print its id, wait for its end and write its exit code."""
    if probe := os.fork():
        print(probe, flush=True)  # noqa: T201 - the answer
        _, status = os.waitpid(probe, 0)
        Path(order["exit_code"]).write_text(str(os.waitstatus_to_exitcode(status)))
        os._exit(0)
    run_probe(order["log"], json.loads(order["environ"]))


def run_probe(log: str, environ: dict[str, str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environ)
    serve()
    sys.exit()


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # else the garbage collector of each fork would visit, and so copy, all loaded memory
    for line in sys.stdin:
        if os.fork() == 0:
            fork_and_wait(json.loads(line))
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()  # no probe outlives this process
