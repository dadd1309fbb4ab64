"""`python -m cafeteria.local_stack.new_service NAME`: a service of the same shape as the others, with everything that it needs.

The files come from `service_template/`. In each file that lists the services one entry a line, the last service's entry is
repeated for the new one. Nothing is written unless all of it can be.
"""

import argparse
import hashlib
import keyword
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from string import Template

import msgspec
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.bus_permissions import STREAMS_ACCOUNT
from cafeteria.provisioning.credentials import ADMIN

TEMPLATE = Path(__file__).parent / "service_template"
SUFFIX = ".template"
IN_A_PATH = "NAME"  # of a file of the template, in the place of the new service's name
COMPOSE_BLOCK = "compose_service.yaml"

COMPOSE = "compose.yaml"
LISTS = (
    "pyproject.toml",
    "packages/provisioning/pyproject.toml",
    "packages/shared-contracts/src/cafeteria/contracts/subjects.py",
    "tools/local-stack/pyproject.toml",
    COMPOSE,
)
"""The files that list the services; everything else takes them from the contracts."""

MAX_NAME = 30
"""Of at most 63 bytes that Postgres keeps of a name; the rest is for the names of constraints."""
FIRST_PORT = 8000

_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}")
_TAKEN = frozenset({ADMIN, STREAMS_ACCOUNT, "bootstrap", "postgres", "nats", "public"})


class NewServiceError(Exception):
    """The service cannot be made; nothing was written. The sentence is for a person."""


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """A service's name in the forms in which files have it."""

    name: str

    @property
    def distribution(self) -> str:
        """As packages are named: with hyphens."""
        return self.name.replace("_", "-")

    @property
    def constant(self) -> str:
        return self.name.upper()

    @property
    def type_prefix(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))


def check_name(name: str, root: Path) -> Names:
    """Return the name's forms. Raises `NewServiceError` for a name that cannot be used or is in use."""
    if not _NAME.fullmatch(name):
        raise NewServiceError(
            f"{name!r} cannot be a service's name: take 1 to {MAX_NAME} small letters, digits and underscores, a letter first."
        )
    if name in _TAKEN or name in RESERVED_WORDS or name.startswith("pg_") or keyword.iskeyword(name):
        raise NewServiceError(f"{name!r} means something to Python, Postgres or NATS: take another name.")
    names = Names(name=name)
    folders = [
        root / folder / form for folder in ("packages", "tools") for form in (name, names.distribution)
    ]
    modules = (f"cafeteria.{name}", f"cafeteria.contracts.{name}")
    if any(folder.exists() for folder in folders) or any(find_spec(module) for module in modules):
        raise NewServiceError(f"There is a {name!r} already: take another name.")
    return names


def plan(names: Names, root: Path) -> dict[Path, str]:
    """Return the content of every file to write. Raises `NewServiceError` if a file has another form than expected."""
    last = Names(name=SERVICES[-1])
    values = {
        "name": names.name,
        "Name": names.type_prefix,
        "NAME": names.constant,
        "dist": names.distribution,
        "port": FIRST_PORT + len(SERVICES),
    }
    files = {root / path: text for path, text in _rendered(values) if path != COMPOSE_BLOCK}
    listed = {path: _with_entry(path, root, last, names) for path in LISTS}
    listed[COMPOSE] = _before_volumes(listed[COMPOSE], dict(_rendered(values))[COMPOSE_BLOCK])
    return files | {root / path: text for path, text in listed.items()}


def _rendered(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the path and text of each file; a golden example also as the copy that is kept when the message changes."""
    for file in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        path = str(file.relative_to(TEMPLATE)).removesuffix(SUFFIX).replace(IN_A_PATH, str(values["name"]))
        text = Template(file.read_text(encoding="utf-8")).substitute(values)
        yield path, text
        if path.endswith(".json"):
            folder, example = Path(path).parent, Path(path).stem
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            yield str(folder / "older" / f"{example}.{digest}.json"), text


def _with_entry(path: str, root: Path, last: Names, new: Names) -> str:
    """Return the file with a line for the new service after each line that is an entry of the last one."""
    entry = _entry_of(last)
    before = (root / path).read_text(encoding="utf-8").splitlines(keepends=True)
    lines: list[str] = []
    for line in before:
        lines.append(line)
        if entry.fullmatch(line.rstrip("\n")):
            lines.append(_renamed(line, last, new))
    if len(lines) == len(before):
        raise NewServiceError(f"{path} has no line that lists {last.name!r} alone: nothing was written.")
    return "".join(lines)


def _entry_of(names: Names) -> re.Pattern[str]:
    """Match a line that does nothing but list the service, in TOML, YAML or Python."""
    name, distribution, constant = map(re.escape, (names.name, names.distribution, names.constant))
    forms = (
        rf'    "cafeteria-{distribution}",( #.*)?',
        rf"cafeteria-{distribution} = \{{ workspace = true \}}",
        rf'    "(cafeteria\.|cafeteria\.contracts\.|packages/){name}(/src|/tests)?",',
        rf"\s+(- )?(postgres|nats)-{name}(: .*)?",
        rf'{constant} = "{name}"',
        rf"    {constant},",
    )
    return re.compile("|".join(forms))


def _renamed(line: str, last: Names, new: Names) -> str:
    line = line.replace(f"cafeteria-{last.distribution}", f"cafeteria-{new.distribution}")
    return line.replace(last.name, new.name).replace(last.constant, new.constant)


def _before_volumes(compose: str, block: str) -> str:
    services, volumes, rest = compose.partition("\nvolumes:\n")
    if not volumes:
        raise NewServiceError(f"{COMPOSE} has no `volumes:` after its services: nothing was written.")
    return services + block + volumes + rest


def write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _finish(root: Path, modules: Sequence[Path]) -> str | None:
    """Sort imports and fold lines, which depend on the name; bring uv.lock up to date. Return the command that failed."""
    ruff, paths = [sys.executable, "-m", "ruff"], [str(path.relative_to(root)) for path in modules]
    for command in (
        [*ruff, "check", "--quiet", "--select=I", "--fix", *paths],
        [*ruff, "format", "--quiet", *paths],
        ["uv", "lock", "--quiet"],
    ):
        if not shutil.which(command[0]) or subprocess.run(command, cwd=root, check=False).returncode:  # noqa: S603 - the tools that this workspace pins
            return shlex.join(command)
    return None


def _report(names: Names, root: Path, files: Mapping[Path, str]) -> str:
    shown = "\n".join(f"  {path.relative_to(root)}" for path in files)
    return f"""Made the service {names.name}, port {FIRST_PORT + len(SERVICES)}:
{shown}
  uv.lock

Next: ./just test packages/{names.name}
      ./just up        starts it with the others
      then make it yours: docs/adopting.md, where you also find how to remove it"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="just new-service", description="Render a service of the same shape."
    )
    parser.add_argument("name", help="small letters, digits and underscores, a letter first")
    name, root = parser.parse_args(argv).name, Path.cwd()
    try:
        names = check_name(name, root)
        files = plan(names, root)
    except (NewServiceError, FileNotFoundError) as error:
        print(f"new-service: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    write(files)
    if failed := _finish(root, [path for path in files if path.suffix == ".py"]):
        print(f"new-service: the files are made, but `{failed}` failed: run it again.", file=sys.stderr)  # noqa: T201 - as above
        return 1
    print(_report(names, root, files))  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
