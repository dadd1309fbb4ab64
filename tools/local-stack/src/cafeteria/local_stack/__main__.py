"""`python -m cafeteria.local_stack up | reset | migrate`: runs the whole cafeteria on this machine."""

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
    command = parser.parse_args(argv).command
    _prepare_process()
    home = DataDirectory.from_environment()
    try:
        if command == "reset":
            reset(home)
        else:
            _run(command, home)
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
    return 0


def _run(command: str, home: DataDirectory) -> None:
    from cafeteria.local_stack import commands  # noqa: PLC0415 - the import takes two seconds, which `reset` does not need

    commands.run(command, home)


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
