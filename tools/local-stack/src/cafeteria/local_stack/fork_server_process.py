"""Imports services once and forks for each start request.

`fork_server` runs it as a script: `python -P fork_server_process.py <service> …`. Each line on standard input is a
start request: a JSON object with the `module` to run, its `arguments`, `environment`, `log`, `own_session` and `niceness`. Each
line on standard output is a JSON object with the `pid` of a new fork, or with the `pid` and `exit_code` of an ended
one. A fork runs `python -m <module>` unchanged; only the imports, two seconds of processor time per start, happened
before.
"""

import gc
import importlib
import json
import os
import runpy
import shlex
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

from setproctitle import setproctitle

from cafeteria.local_stack.launch import yield_to_other_sessions

SIGNALS = (signal.SIGCHLD, signal.SIGTERM)


def main(services: Iterable[str]) -> None:
    for module in ("cafeteria.chassis.process", *(f"cafeteria.{service}.app" for service in services)):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # otherwise each fork copies the pages that its collector touches
    Forks().serve()


class Forks:
    """The running forks. They end with this process, however it ends."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._watched, self._held = os.pipe()  # nothing writes to it: the kernel closes it with this process
        signal.signal(signal.SIGCHLD, self._report)
        signal.signal(signal.SIGTERM, self._end)

    def serve(self) -> None:
        """Fork for each line of standard input, and end at its end."""
        for line in sys.stdin:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # report a start before its end
            pid = os.fork()
            if pid == 0:
                self._leave_fork_server()
                _become(**json.loads(line))
                sys.exit()
            self._pids.add(pid)
            _write_report(pid=pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._end()

    def _leave_fork_server(self) -> None:
        os.close(self._held)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        threading.Thread(target=_end_with_fork_server, args=(self._watched,), daemon=True).start()

    def _report(self, *_: object) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._pids.discard(ended[0])
                _write_report(pid=ended[0], exit_code=os.waitstatus_to_exitcode(ended[1]))

    def _end(self, *_: object) -> NoReturn:
        """Kill all forks: a frozen one could not end itself."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _write_report(**report: int) -> None:
    with suppress(BrokenPipeError):  # the process that started this one has ended
        os.write(1, json.dumps(report).encode() + b"\n")


def _end_with_fork_server(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _become(
    *,
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    log: str,
    own_session: bool,
    niceness: int,
) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, number)
    if own_session:
        os.setsid()
    if niceness:
        yield_to_other_sessions(niceness)
    # people find a process by its command; the variables that it began with show where that stands in memory
    setproctitle(shlex.join(["python", "-m", module, *arguments]))
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
