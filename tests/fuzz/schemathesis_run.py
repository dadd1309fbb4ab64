"""One bounded run of schemathesis: every check, for one service, in one role, from one seed.

The hooks leave out what is refused although it fits the document: rules that no schema can express.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import schemathesis
from click.testing import CliRunner
from schemathesis.cli import schemathesis as command_line

from cafeteria.chassis.runtime.visible_text import UnusableNameError, as_name

CONFIG = Path(__file__).with_name("schemathesis.toml")
ANONYMOUS = "anonymous"
ALL_PHASES = "examples,coverage,fuzzing,stateful"
_CASES = re.compile(r"(\d+) generated")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`is_clean` when requests were sent and every check held; `report` is what schemathesis printed."""

    service: str
    role: str
    seed: int
    cases: int
    took_s: float
    is_clean: bool
    report: str


def run_schemathesis(
    service: str,
    url: str,
    *,
    role: str,
    token: str | None,
    seed: int,
    examples: int,
    phases: str = ALL_PHASES,
    more: tuple[str, ...] = (),
) -> Outcome:
    """`examples` is the most that are tried of each operation in each phase; `more` are further options."""
    headers = ("--header", f"Authorization: Bearer {token}") if token else ()
    arguments = [
        *("--config-file", str(CONFIG), "run", f"{url}/schema/openapi.json", *headers),
        *("--no-color", "--warnings", "off", *more),
        *("--checks", "all", "--phases", phases, "--max-examples", str(examples), "--seed", str(seed)),
    ]
    began = monotonic()
    result = CliRunner().invoke(command_line, arguments)
    found = _CASES.search(result.output)
    return Outcome(
        service=service,
        role=role,
        seed=seed,
        cases=int(found[1]) if found else 0,
        took_s=monotonic() - began,
        is_clean=result.exit_code == 0 and found is not None,
        report=result.output + (f"\n{result.exception!r}" if result.exception else ""),
    )


@schemathesis.hook
def before_load_schema(_: Any, document: dict[str, Any]) -> None:
    """`default` names any other answer, and would let every status pass."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("default", None)


@schemathesis.hook
def map_body(_: Any, body: Any) -> Any:
    """To JSON Schema 2.0 is an integer; the services refuse it, for it is mostly a quantity that was computed."""
    if isinstance(body, dict):
        return {name: map_body(_, member) for name, member in body.items()}
    if isinstance(body, list):
        return [map_body(_, member) for member in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body


@schemathesis.hook
def filter_body(_: Any, body: Any) -> bool:
    """An item in two lines and a name that nobody can read are refused, which no schema expresses."""
    return not isinstance(body, dict) or (_names_each_item_once(body) and _has_plain_names(body))


def _names_each_item_once(body: Mapping[str, Any]) -> bool:
    lines = body.get("lines")
    if not isinstance(lines, list):
        return True
    items = [str(line.get("item_id")).lower() for line in lines if isinstance(line, dict)]
    return len(set(items)) == len(items)


def _has_plain_names(body: Mapping[str, Any]) -> bool:
    try:
        for member in ("name", "full_name"):
            if isinstance(body.get(member), str):
                as_name(body[member])
    except UnusableNameError:
        return False
    return True
