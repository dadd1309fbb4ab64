"""The log of a process: every line is JSON of one shape, also those of libraries, and holds no secret."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, warnings
from cafeteria.chassis.observability import logs, tracing
from cafeteria.chassis.runtime.settings import LogFormat, LogLevel, Secret

logs.configure_logs("probe", level=LogLevel.INFO, log_format=LogFormat.{format})
log = logs.get_logger()
log.debug("debug_hidden")
log.info("meal_cooked", meal="soup", secret=Secret("hunter2"))
logs.rebind(order_id="o-1")
tracing.enter("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
log.warning("meal_burnt")
logs.rebind(request_id="r-1", message_id="m-1")
log.info("meal_served")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("meal_failed")
log.info("odd_logged", odd=object, at_last={{1: 2}})
logging.getLogger("uvicorn.error").warning("from uvicorn %s", 7)
logging.getLogger("uvicorn.error").info("chatter")
logging.getLogger("uvicorn.access").warning("GET /?token=hunter2")
logging.getLogger("some.library").info("from a library")
logging.getLogger("some.library").error("logged before", exc_info=logs.AlreadyLogged())
warnings.warn("mind the gap")
log.info("name_read", name="Zoë \\ud800")
logging.getLogger("some.library").warning("Zoë \\ud800")
"""


FORGERY = """
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.settings import LogFormat, LogLevel

logs.configure_logs("probe", level=LogLevel.INFO, log_format=LogFormat.{format})
logs.rebind(bound="\\r")
for unsafe in "\\n\\r\\0\\x0b\\x1b\\x7f\\x85\\x9b\\u2028\\u2029\\u202e\\u2066":
    logs.get_logger().info("name_read", name="Zoë" + unsafe + '{{"event":"account_created"}}')
"""


def run_program(log_format: str, program: str = PROGRAM) -> str:
    program = program.format(format=log_format)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=60,
        check=True,
    )
    assert done.stderr == b""
    assert b"hunter2" not in done.stdout
    return done.stdout.decode()


def test_every_line_is_one_json_object_in_one_shape() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in run_program("JSON").splitlines()]
    assert all({"at", "level", "event", "service"} <= line.keys() for line in lines)
    ours = {line["event"]: line for line in lines if line["event"] != "library_logged"}
    assert list(ours) == [
        "meal_cooked",
        "meal_burnt",
        "meal_served",
        "meal_failed",
        "odd_logged",
        "name_read",
    ]
    assert ours["meal_cooked"]["secret"] == "***"
    assert ours["meal_burnt"]["order_id"] == "o-1"
    assert ours["meal_burnt"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert ours["meal_served"]["request_id"] == "r-1"
    assert ours["meal_served"]["message_id"] == "m-1"
    assert "order_id" not in ours["meal_served"]
    assert ours["meal_failed"]["level"] == "error"
    assert "ZeroDivisionError" in ours["meal_failed"]["exception"]
    libraries = [(line["logger"], line["level"]) for line in lines if line["event"] == "library_logged"]
    assert libraries == [
        ("uvicorn.error", "warning"),
        ("some.library", "info"),
        ("py.warnings", "warning"),
        ("some.library", "warning"),
    ]


def test_a_line_begins_with_its_time_level_and_event() -> None:
    for line in run_program("JSON").splitlines():
        assert list(json.loads(line))[:3] == ["at", "level", "event"]


def test_text_that_cannot_be_encoded_does_not_lose_a_line() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in run_program("JSON").splitlines()]
    assert (lines[-2]["event"], lines[-2]["name"]) == ("name_read", "Zoë \ud800")
    assert lines[-1]["message"] == "Zoë \ud800"
    assert "Zoë \\ud800" in run_program("CONSOLE")


def test_the_console_format_shows_the_same_events() -> None:
    text = run_program("CONSOLE")
    assert "meal_cooked" in text
    assert "ZeroDivisionError" in text
    assert "debug_hidden" not in text


@pytest.mark.parametrize("log_format", ["JSON", "CONSOLE"])
def test_no_value_can_forge_a_line_or_move_a_terminals_cursor(log_format: str) -> None:
    output = run_program(log_format, FORGERY)
    assert len(output.splitlines()) == output.count("name_read") == 12
    assert not any(
        ord(character) < 32 or 127 <= ord(character) < 160 for character in output.replace("\n", "")
    )
    assert not set(output) & set("\u2028\u2029\u202e\u2066")


def test_an_escaped_value_is_still_the_value() -> None:
    names = [json.loads(line)["name"] for line in run_program("JSON", FORGERY).splitlines()]
    assert [name[3] for name in names] == list("\n\r\0\x0b\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066")
