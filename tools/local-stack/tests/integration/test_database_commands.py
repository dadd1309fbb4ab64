"""Commands on the database of a stack, while it runs and while it does not."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import NamedTuple

from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.supervised_process import STOP_GRACE_S

STUDENTS = "student_id,full_name\n210049001,Ada Lovelace\n"


class Ended(NamedTuple):
    """How a run of the command ended."""

    code: int
    output: str


async def run(home: DataDirectory, *arguments: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.local_stack", *arguments),
        env={**os.environ, "CAFETERIA_HOME": str(home.root), "CAFETERIA_DEMO_DATA": "false"},
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    return Ended(process.returncode or 0, output.decode())


async def test_students_are_imported_and_an_operator_created_with_and_without_a_running_stack(
    home: DataDirectory, tmp_path: Path
) -> None:
    file = tmp_path / "students.csv"
    await asyncio.to_thread(file.write_text, STUDENTS)
    imported = await run(home, "import-students", str(file), "--apply")
    assert (imported.code, "Created: 1 account." in imported.output) == (0, True), imported.output
    assert (tmp_path / "students.one-time-passwords.csv").is_file()
    with home.held():
        servers = Servers(home, Plan(with_demo_data=False), keep=False)
        await servers.start()
        try:
            again = await run(home, "import-students", str(file))
            operator = await run(home, "operator", "chief-1")
            second = await run(home, "operator", "chief-2")
        finally:
            await servers.stop(grace_s=STOP_GRACE_S)
    assert (again.code, "210049001 has an account already" in again.output) == (0, True), again.output
    assert (operator.code, "chief-1 is an operator now." in operator.output) == (0, True), operator.output
    assert (second.code, "There is an enabled operator already" in second.output) == (1, True), second.output


async def test_arguments_that_a_command_does_not_know_are_refused(home: DataDirectory) -> None:
    for arguments in (("reset", "--apply"), ("up", "now"), ("import-students",)):
        ended = await run(home, *arguments)
        assert ended.code == 2
        assert "usage:" in ended.output
