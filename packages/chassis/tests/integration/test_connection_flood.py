"""Thousands of silent and slow sockets against a process with few descriptors: it serves all other clients."""

import contextlib
import json
import os
import re
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

PROBE = Path(__file__).with_name("probe_service.py")
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CAFETERIA_")},
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "x",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
    "CAFETERIA_NATS_PASSWORD": "x",
    "CAFETERIA_PORT": "0",
}
JSON = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
SENT = (b"", b"GET /begun HTTP/1.1\r\nhost: x\r\n", JSON + b"content-length: 40\r\n\r\n{")
"""What each silent socket sends: nothing, half a head, or the first byte of a body."""

ONE, FIFTY = ("127.0.0.2",), tuple(f"127.0.1.{number}" for number in range(1, 51))
Start = Callable[..., tuple[str, int, Path]]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on loopback"
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the probe service with this hard limit of descriptors and half of it as soft limit: host, port, log."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, descriptors: int, **environ: str) -> tuple[str, int, Path]:
        log_path = tmp_path / "probe.log"
        limited = f'ulimit -Sn {descriptors // 2} && ulimit -Hn {descriptors} && exec "$@"'
        with log_path.open("wb") as log:
            command = ["sh", "-c", limited, "sh", sys.executable, str(PROBE)]
            started.append(
                subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**ENVIRON, **environ})
            )
        deadline = time.monotonic() + 30
        while not (found := re.search(r'"url":"http://([^:]+):(\d+)"', log_path.read_text())):
            assert time.monotonic() < deadline, log_path.read_text()
            time.sleep(0.05)
        return found[1], int(found[2]), log_path

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def own_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class OtherClient(threading.Thread):
    """Requests health and orders until its block ends, over new connections and over a persistent one."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._address = (host, port)
        self._begun, self._ended = threading.Event(), threading.Event()
        self.failures: list[str] = []
        self.health_s: list[float] = []
        self.orders = 0

    def run(self) -> None:
        with socket.create_connection(self._address, timeout=5) as persistent:
            while not self._ended.wait(0.1):
                began = time.monotonic()
                self._request("health", b"GET /health/live HTTP/1.1\r\nhost: x\r\n", 200)
                self.health_s.append(time.monotonic() - began)
                self._request("order", JSON + b"content-length: 2\r\n", 201, b"{}")
                self._request("persistent", JSON + b"content-length: 2\r\n", 201, b"{}", on=persistent)
                self.orders += 2
                self._begun.set()

    def _request(
        self, name: str, head: bytes, status: int, body: bytes = b"", *, on: socket.socket | None = None
    ) -> None:
        try:
            with contextlib.ExitStack() as stack:
                peer = on or stack.enter_context(socket.create_connection(self._address, timeout=5))
                peer.sendall(head + b"\r\n" + body)
                answer = peer.recv(65536)
        except OSError as error:
            answer = repr(error).encode()
        if not answer.startswith(b"HTTP/1.1 %d" % status):
            self.failures.append(f"{name}: {answer[:60]!r}")

    def __enter__(self) -> Self:
        self.start()
        # until the persistent connection has sent a request: before that the server may evict it
        assert self._begun.wait(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def open_silent(address: tuple[str, int], sources: tuple[str, ...], count: int) -> dict[int, socket.socket]:
    opened: dict[int, socket.socket] = {}
    for number in range(count):
        peer = socket.socket()
        peer.settimeout(10)
        peer.bind((sources[number % len(sources)], 0))
        peer.connect(address)
        with contextlib.suppress(ConnectionError):
            peer.sendall(SENT[number % len(SENT)])
        peer.setblocking(False)
        opened[peer.fileno()] = peer
    return opened


def seconds_until_closed(silent: dict[int, socket.socket], *, within_s: float) -> float:
    """Read every socket to its end; return the seconds that this took."""
    began = time.monotonic()
    poll = select.epoll()
    for descriptor in silent:
        poll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP)
    while silent:
        assert time.monotonic() - began < within_s, f"{len(silent)} are still open"
        for descriptor, _ in poll.poll(0.5):
            with contextlib.suppress(ConnectionError):
                if silent[descriptor].recv(65536):
                    continue
            poll.unregister(descriptor)
            silent.pop(descriptor).close()
    poll.close()
    return time.monotonic() - began


def flood(
    start: Start,
    sources: tuple[str, ...],
    *,
    count: int,
    descriptors: int,
    look_s: float,
    health_within_s: float,
) -> str:
    host, port, log_path = start(descriptors=descriptors, PROBE_LOOK_S=str(look_s))
    with OtherClient(host, port) as other:
        began = time.monotonic()
        silent = open_silent((host, port), sources, count)
        opened_s = time.monotonic() - began
        closed_s = seconds_until_closed(silent, within_s=40 * look_s)
        minutes = (time.monotonic() - began) / (60 * look_s)
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in log_path.read_text().splitlines() if line.startswith("{")
    ]
    warnings = [line for line in lines if line["level"] != "info"]
    assert other.failures == []
    assert max(other.health_s) < health_within_s
    assert {line["event"] for line in warnings} == {"connections_limited"}
    assert 1 <= len(warnings) <= 1 + minutes
    return (
        f"{count} sockets from {len(sources)} addresses in {opened_s:.1f} s, closed {closed_s:.1f} s after the last; "
        f"health {len(other.health_s)} times, at most {max(other.health_s) * 1e3:.0f} ms; "
        f"{other.orders} orders accepted; warnings {len(warnings)}: {warnings[0]}"
    )


@pytest.mark.parametrize("sources", [ONE, FIFTY], ids=["one address", "fifty addresses"])
def test_hundreds_of_silent_sockets_do_not_lock_out_other_clients(
    start: Start, own_descriptors: None, sources: tuple[str, ...]
) -> None:
    """The server's seconds are shorter: a client that had to wait for the time-outs would wait for four real seconds."""
    flood(start, sources, count=600, descriptors=512, look_s=0.4, health_within_s=2.0)


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sources", [ONE, FIFTY], ids=["one address", "fifty addresses"])
def test_five_thousand_silent_sockets_do_not_lock_out_other_clients_of_a_process_with_1024_descriptors(
    start: Start, own_descriptors: None, sources: tuple[str, ...]
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 6_000:
        pytest.skip(f"opens 5,000 sockets, and only {hard} descriptors are allowed here")
    figures = flood(start, sources, count=5_000, descriptors=1_024, look_s=1.0, health_within_s=1.0)
    print(figures)  # noqa: T201
