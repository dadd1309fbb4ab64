"""Import each module below the first folder, and all that any module below the folders imports; print what is not there.

The environment is the interpreter that runs this, so this needs the standard library alone. Imports within functions count too.
"""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path


def main(source: Path, *tests: Path) -> int:
    unresolved = [
        f"{path}:{line}: {name}\n"
        for folder in (source, *tests)
        for path in sorted(folder.rglob("*.py"))
        for line, name in imports_of(path)
        if not is_there(name, beside=path)
    ]
    sys.stdout.writelines(unresolved)
    if unresolved:
        return 1
    for path in sorted(source.rglob("*.py")):
        if "migrations" not in path.parts:  # those run where Alembic runs them
            importlib.import_module(module_of(path.relative_to(source)))
    return 0


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names, lineno=line):
                yield from ((line, alias.name) for alias in names)
            case ast.ImportFrom(module=str(name), level=0, lineno=line):
                yield line, name


def is_there(name: str, *, beside: Path) -> bool:
    """Whether the module is installed, or is a file beside the one that imports it, as pytest finds a conftest."""
    if beside.with_name(f"{name.partition('.')[0]}.py").exists():
        return True
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
