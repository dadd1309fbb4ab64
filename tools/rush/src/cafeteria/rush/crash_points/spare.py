"""A process that has a service's modules loaded and becomes that service as often as it is told to.

Run as a script, `python -P spare.py <service>`, so that nothing of this package is loaded with the service. Each line on standard input is a start: a JSON object
with the `environment` and the `log` file. The answer is a line with the pid of a new child, which runs
`python -m cafeteria.<service>` as it is; only loading, two seconds of every start, has been done before. The child
of the start before is waited for, so its ports and connections are gone by then.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping


def main(service: str) -> None:
    for module in ("cafeteria.chassis.server", f"cafeteria.{service}.app"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # or each child would copy what its collector touches
    mine, childs = os.pipe()  # nothing is written: the kernel closes it when this process ends
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.close(childs)
            threading.Thread(target=_end_with_spare, args=(mine,), daemon=True).start()
            _become(service, order["environment"], log=order["log"])
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
    if child:  # nobody is left to order: neither is anybody to serve
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _end_with_spare(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _become(service: str, environment: Mapping[str, str], *, log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, number in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [f"cafeteria.{service}"]
    try:
        runpy.run_module(f"cafeteria.{service}", run_name="__main__", alter_sys=True)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
