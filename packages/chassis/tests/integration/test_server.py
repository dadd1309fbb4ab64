"""A service as a process: it reports why it cannot start, and answers every request that it has read before it stops."""

import contextlib
import json
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from cafeteria.chassis.process import LEAVE_WITHIN_S
from cafeteria.testkit.servers import FixtureServers

STOP_LIMIT_S = LEAVE_WITHIN_S + 5
"""With the time that a busy machine adds: a stop without a limit would never end, and a cut-off one logs it."""

START_LIMIT_S = 30.0
Start = Callable[..., Any]
"""The fixture of `conftest`: it starts a probe and returns its `Process`."""


def open_socket(url: str, sent: bytes) -> socket.socket:
    parsed = httpx.URL(url)
    peer = socket.create_connection((parsed.host, parsed.port), timeout=10)
    peer.sendall(sent)
    return peer


def read_all(peer: socket.socket) -> bytes:
    received = b""
    with peer, contextlib.suppress(ConnectionResetError):
        while chunk := peer.recv(65536):
            received += chunk
    return received


def read_until(peer: socket.socket, text: bytes) -> None:
    received = b""
    while text not in received:
        received += peer.recv(65536)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, verify=False)  # noqa: S501 - plain HTTP; loading the certificates takes 50 ms


def begun(url: str) -> int:
    """Return how many slow requests have reached their handler."""
    return int(fetch(f"{url}/begun").text)


def open_streams(url: str) -> int:
    page = fetch(f"{url}/metrics").text
    [line] = [line for line in page.splitlines() if line.startswith("cafeteria_http_open_streams ")]
    return int(float(line.split()[1]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_a_stop_signal_a_service_answers_read_requests_ends_streams_and_exits_0(
    start: Start, number: signal.Signals
) -> None:
    process = start(freshly_loaded=number is signal.SIGTERM)  # once as a new interpreter
    url = process.url()
    idle = open_socket(url, get("/health/live"))
    read_until(idle, b'{"status":"ok"}')
    streams = [open_socket(url, get("/events")) for _ in range(20)]
    for stream in streams:
        read_until(stream, b": open\n\n")
    with ThreadPoolExecutor(20) as pool:
        slow = [pool.submit(read_all, open_socket(url, get("/slow?seconds=0.8"))) for _ in range(20)]
        wait_until(lambda: begun(url) == 20)
        took_s = process.stop(number)
        answers = [each.result() for each in slow]
    assert (process.child.returncode, took_s < STOP_LIMIT_S) == (0, True)
    assert all(b"200 OK" in answer and answer.endswith(b"done") for answer in answers)
    assert all(read_all(stream).endswith(b": closed\n\n\r\n0\r\n\r\n") for stream in streams)
    assert read_all(idle) == b""
    assert process.output.splitlines()[-2] == "closed"
    assert {line["level"] for line in process.lines} == {"info"}


def test_pipelined_requests_that_were_read_are_answered_too(start: Start) -> None:
    process = start()
    url = process.url()
    peer = open_socket(url, get("/slow?seconds=0.3") + get("/slow?seconds=0.3"))
    wait_until(lambda: begun(url) == 1)
    assert process.stop() < STOP_LIMIT_S
    assert process.lines[-1]["event"] == "service_stopped"
    assert read_all(peer).count(b"200 OK") == 2


def test_slow_readers_and_half_sent_requests_do_not_delay_the_stop(start: Start) -> None:
    process = start()
    url = process.url()
    half_head = open_socket(url, b"GET /slow HTTP/1.1\r\nhost: x\r\n")
    half_body = open_socket(
        url,
        b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    )
    not_reading = open_socket(url, get("/flood"))
    wait_until(lambda: open_streams(url) == 1)
    assert process.stop() < STOP_LIMIT_S
    assert process.child.returncode == 0
    assert process.lines[-1]["event"] == "service_stopped"
    for peer in (half_head, half_body, not_reading):
        peer.close()


def test_a_stop_that_does_not_end_is_cut_off(start: Start) -> None:
    process = start(PROBE_STOP="stuck")
    process.wait_for("service_started")
    assert process.stop() < STOP_LIMIT_S
    assert process.child.returncode == 0
    assert process.lines[-1]["event"] == "service_stop_cut_off"
    assert LEAVE_WITHIN_S < 3, "as the documentation for operators promises"


def test_a_repeated_signal_changes_nothing(start: Start) -> None:
    process = start()
    url = process.url()
    peer = open_socket(url, get("/slow?seconds=0.5"))
    wait_until(lambda: begun(url) == 1)
    for _ in range(3):
        process.child.send_signal(signal.SIGINT)
    assert process.stop() < STOP_LIMIT_S
    assert process.child.returncode == 0
    assert process.lines[-1]["event"] == "service_stopped"
    assert read_all(peer).endswith(b"done")


def test_a_stop_signal_during_the_start_ends_the_process(start: Start) -> None:
    process = start(PROBE_START="stuck")
    process.wait_for("opening")
    assert process.stop() < STOP_LIMIT_S
    assert process.child.returncode == 0


def test_a_start_that_fails_is_logged_once_and_exits_1(start: Start) -> None:
    process = start(PROBE_START="broken")
    assert process.child.wait(timeout=START_LIMIT_S) == 1
    assert [line["event"] for line in process.lines] == ["service_failed"]
    assert process.output.count("RuntimeError: cannot open") == 1


def test_settings_that_prove_unusable_at_the_start_are_reported_in_one_sentence(start: Start) -> None:
    process = start(PROBE_START="unusable")
    assert process.child.wait(timeout=START_LIMIT_S) == 2
    assert process.output.splitlines() == ["opening", "gateway: PROBE_KEY_FILE holds no key."]


def test_each_wrong_setting_is_reported_in_one_sentence(start: Start) -> None:
    process = start(CAFETERIA_PORT="many", CAFETERIA_LOG_LEVEL="loud", CAFETERIA_NATS_PASSWORD="")
    assert process.child.wait(timeout=START_LIMIT_S) == 2
    sentences = process.output.splitlines()
    assert len(sentences) == 3
    assert all(
        sentence.startswith("gateway: CAFETERIA_") and sentence.endswith(".") for sentence in sentences
    )


def test_a_port_in_use_is_reported_in_one_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = start(CAFETERIA_PORT=str(port))
        assert process.child.wait(timeout=START_LIMIT_S) == 2
    assert process.output.startswith(f"gateway: port {port} on 127.0.0.1 is in use: ")
    assert len(process.output.splitlines()) == 1


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "::"])  # noqa: S104 - as operators write
def test_a_service_listens_on_ipv4_ipv6_and_names(start: Start, host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    process = start(CAFETERIA_HOST=host)
    url = process.url().replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - the same
    assert fetch(f"{url}/health/live").status_code == 200
    process.stop()
    assert process.child.returncode == 0


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_reported_in_one_sentence(start: Start, host: str) -> None:
    process = start(CAFETERIA_HOST=host)
    assert process.child.wait(timeout=START_LIMIT_S) == 2
    assert process.output.startswith(f"gateway: cannot listen on port 0 of {host}: ")
    assert "CAFETERIA_HOST" in process.output
    assert len(process.output.splitlines()) == 1


def test_a_process_that_ends_itself_stops_gracefully_and_exits_1(start: Start) -> None:
    process = start()
    assert fetch(f"{process.url()}/end").text == "ending"
    assert process.child.wait(timeout=STOP_LIMIT_S) == 1
    assert "closed" in process.output.splitlines()
    assert process.lines[-1]["event"] == "service_stopped"


def test_a_process_that_ends_itself_during_the_start_exits_1(start: Start) -> None:
    assert start(PROBE_START="end").child.wait(timeout=START_LIMIT_S) == 1


def test_a_process_whose_bus_closed_for_good_exits_1(start: Start, servers: FixtureServers) -> None:
    password = servers.credentials.nats_password("gateway")
    process = start(PROBE_BUS="1", CAFETERIA_NATS_URL=servers.nats_url, CAFETERIA_NATS_PASSWORD=password)
    assert fetch(f"{process.url()}/close-bus").text == "ending"
    assert process.child.wait(timeout=STOP_LIMIT_S) == 1
    assert "bus_closed" in [line["event"] for line in process.lines]


def test_a_process_that_ends_itself_and_is_cut_off_exits_1(start: Start) -> None:
    process = start(PROBE_STOP="stuck")
    fetch(f"{process.url()}/end")
    assert process.child.wait(timeout=STOP_LIMIT_S) == 1


def test_variables_of_other_programs_change_nothing(start: Start, tmp_path: Path) -> None:
    foreign = {
        "FORWARDED_ALLOW_IPS": "*",
        "LITESTAR_DEBUG": "1",
        "LITESTAR_PDB": "1",
        "PROMETHEUS_DISABLE_CREATED_SERIES": "maybe",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "nothing"),
        "WEB_CONCURRENCY": "many",
    }
    process = start(freshly_loaded=True, **foreign)
    assert fetch(f"{process.url()}/bug").headers["content-type"] == "application/problem+json"
    assert open_streams(process.url()) == 0
    process.stop()
    assert process.child.returncode == 0


def test_the_log_of_a_run_is_json_and_holds_no_secret(start: Start) -> None:
    process = start(CAFETERIA_LOG_LEVEL="debug")
    url = process.url()
    with httpx.Client(
        base_url=url, headers={"authorization": "Bearer tok-hidden", "cookie": "a=cookie-hidden"}
    ) as client:
        client.get("/guarded?key=query-hidden")
        client.post("/echo", json={"password": "body-hidden"})
        client.post(
            "/echo", content=b'{"password": "body-hidden"', headers={"content-type": "application/json"}
        )
        assert client.get("/bug").status_code == 500
        assert client.get("/health").status_code == 503
    read_all(open_socket(url, b"NONSENSE key-hidden\r\n\r\n"))
    process.stop()
    assert "hidden" not in process.output
    assert all(line.startswith("{") or line in ("opening", "closed") for line in process.output.splitlines())
    failed = [line for line in process.lines if line["event"] == "request_failed"]
    assert len(failed) == 1
    assert "RuntimeError: a bug" in failed[0]["exception"]
    assert failed[0]["request_id"]


def test_a_request_that_is_not_http_gets_a_problem_document(start: Start) -> None:
    answer = read_all(open_socket(start().url(), b"NONSENSE\r\n\r\n"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in head
    assert json.loads(body)["type"] == "/problems/invalid-request"
