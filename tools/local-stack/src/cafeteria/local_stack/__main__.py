"""`python -m cafeteria.local_stack up | reset | migrate | …`: runs the whole cafeteria on this machine."""

import argparse
import contextlib
import errno
import os
import resource
import sys
from collections.abc import Sequence

from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.provisioning.errors import SettingError, StackError

_DESCRIPTORS = 65_536  # children inherit it: a store has many files, a service many event streams
_PRIVATE_UMASK = 0o077
_NO_SPACE = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "your share of its disk is used up",
    errno.EROFS: "its disk is read-only",
}


def reset(home: DataDirectory) -> None:
    """Remove the data. Raises `StackError` if a stack uses it, or if the stack did not create it."""
    kept = home.wipe()
    print(f"{home.root} is wiped.")  # noqa: T201 - this is a command line
    for path in kept:
        print(f"{path} was not made by the stack, and stays.")  # noqa: T201 - this is a command line


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cafeteria.local_stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start servers and services, and keep them running until Ctrl-C")
    commands.add_parser("reset", help="wipe the data")
    commands.add_parser("migrate", help="bring every schema to the newest migration")
    commands.add_parser(
        "import-students", add_help=False, help="create the accounts of a CSV file (--help tells more)"
    )
    commands.add_parser("operator", add_help=False, help="create the first operator: operator ID")
    commands.add_parser(
        "student-data", add_help=False, help="export what is kept about a student, or forget it"
    )
    arguments, others = parser.parse_known_args(argv)
    _prepare_process()
    home = DataDirectory.from_environment()
    try:
        return _run(arguments.command, others, home, parser)
    except StackError as error:
        return _refused(str(error), error.exit_code)
    except PermissionError as error:
        advice = "start as the user who created it, or set CAFETERIA_HOME to a folder of yours"
        return _refused(f"No access to {error.filename}: {advice}.", SettingError.exit_code)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        place = error.filename or home.root
        return _refused(f"Cannot write to {place}: {_NO_SPACE[error.errno]}.", StackError.exit_code)


def _run(command: str, others: Sequence[str], home: DataDirectory, parser: argparse.ArgumentParser) -> int:
    """Run the command; `others` are arguments that only a program of another package understands."""
    takes_others = command in ("import-students", "operator", "student-data")
    if others and not takes_others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if command == "reset":
        reset(home)
        return 0
    from cafeteria.local_stack import commands  # noqa: PLC0415 - the import takes two seconds, which `reset` does not need

    if takes_others:
        return commands.run_program(command, others, home)
    commands.run(command, home)
    return 0


def _refused(sentence: str, exit_code: int) -> int:
    print(f"stack: {sentence}", file=sys.stderr)  # noqa: T201 - this is a command line
    return exit_code


def _prepare_process() -> None:
    """Make new files private and raise the limit of descriptors, for this process and its children."""
    os.umask(_PRIVATE_UMASK)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a system may have a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
