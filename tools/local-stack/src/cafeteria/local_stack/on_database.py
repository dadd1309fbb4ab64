"""Runs a command of another package on the database of the stack on this machine.

    python -m cafeteria.local_stack.on_database cafeteria.provisioning.student_data export 210041101

A variable that is set already wins, so the same command works on any server that CAFETERIA_POSTGRES_URL names.
"""

import os
import runpy
import sys
from collections.abc import Mapping

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import StackError

_PORT_LINE = 3  # of postmaster.pid: process, folder, start, port


def variables_for(module: str, home: DataDirectory, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment lacks: the address, the folder of secrets, for a service's module its role's password.

    Raises StackError if no stack runs in `home`.
    """
    if environ.get("CAFETERIA_POSTGRES_URL"):
        return {}
    try:
        lines = (home.postgres / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise StackError(
            f"No stack is running in {home.root}: start it with `just up`, or set CAFETERIA_POSTGRES_URL."
        ) from None
    found = {
        "CAFETERIA_POSTGRES_URL": f"postgresql://{ports.HOST}:{lines[_PORT_LINE]}/cafeteria",
        "CAFETERIA_SECRETS_DIR": str(home.secrets),
    }
    service = module.removeprefix("cafeteria.").partition(".")[0]
    if service in SERVICES:
        found["CAFETERIA_POSTGRES_PASSWORD_FILE"] = str(Credentials(home.secrets).postgres_file(service))
    return found


def main() -> int:
    """Run the module that the first argument names, with the others as its own."""
    module, *arguments = sys.argv[1:]
    try:
        os.environ.update(variables_for(module, DataDirectory.from_environment(), os.environ))
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)  # noqa: T201 - this is a command line
        return error.exit_code
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
