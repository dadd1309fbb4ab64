"""What became a service ends with the spare process that it came from, however that ends, on any system."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import psutil
import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.child import is_alive
from cafeteria.rush.crash_points import spare


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_service_ends_with_its_spare_process(
    tmp_path: Path, wait_until: Any, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    port = ports.free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", spare.__file__, "stock"), stdin=PIPE, stdout=PIPE
    )
    assert process.stdin
    assert process.stdout
    environment = {
        **os.environ,
        "CAFETERIA_PORT": str(port),
        "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
        "CAFETERIA_POSTGRES_PASSWORD": "none",
        "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
        "CAFETERIA_NATS_PASSWORD": "none",
    }
    process.stdin.write(json.dumps({"environment": environment, "log": str(log)}).encode() + b"\n")
    service = psutil.Process(int(await process.stdout.readline()))
    await wait_until(lambda: not ports.is_free(port), timeout_s=30)
    process.send_signal(number)
    await process.wait()
    await wait_until(lambda: not is_alive(service), timeout_s=5)
