"""A git work tree of another commit with its own Python environment, in which that commit is measured.

Trees are kept, and the next run uses them again.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from cafeteria.bench.generator import BenchError
from cafeteria.local_stack.data_directory import DataDirectory

SHORT_HASH = 7
STOP_WITHIN_S = 20.0
_OWN_VARIABLES = ("UV_NO_SYNC", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV")
"""Variables that `./just` sets for this tree; they would keep another tree from having its own environment."""


class WorkTree(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is the commit's short hash; `interpreter` is the Python of its environment."""

    name: str
    root: Path
    interpreter: Path

    async def just(self, *arguments: str) -> int:
        """Run a recipe there; returns its exit status. Its output is dropped; its errors are shown."""
        return await _run("sh", "./just", *arguments, folder=self.root)

    async def python(self, script: Path, *arguments: str) -> bytes:
        """Return the output of a script, run by the tree's interpreter. Raises BenchError if it fails."""
        return await output_of(str(self.interpreter), "-P", str(script), *arguments, folder=self.root)


def present() -> WorkTree:
    """Return the tree in which this process runs."""
    return WorkTree(name="present", root=Path.cwd(), interpreter=Path(sys.executable))


async def work_tree(commit: str) -> WorkTree:
    """Return the commit's tree, ready to run. Raises BenchError if the commit does not exist or cannot be prepared."""
    hash_ = await find_commit(commit)
    name = hash_[:SHORT_HASH]
    root = DataDirectory.from_environment().root.absolute() / "bench" / f"at-{name}"
    tree = WorkTree(name=name, root=root, interpreter=root / ".venv/bin/python")
    if not await _is_intact(tree.root, hash_):
        shutil.rmtree(tree.root, ignore_errors=True)
        # --force: the folder may have been removed without git's knowledge
        await output_of("git", "worktree", "add", "--quiet", "--force", "--detach", str(tree.root), hash_)
    if status := await tree.just("--list"):
        raise BenchError(f"The environment of {tree.name} could not be made: `./just` ended with {status}.")
    return tree


async def find_commit(commit: str) -> str:
    """Return its full hash. Raises BenchError if this repository has no such commit."""
    try:
        found = await output_of(
            *("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
        )
    except BenchError:
        raise BenchError(
            f"This repository has no commit {commit}: name one that `git log` shows. A clone without history "
            "gets it by `git fetch --unshallow`."
        ) from None
    return found.decode().strip()


async def _is_intact(folder: Path, hash_: str) -> bool:
    """Whether the folder has the commit unchanged, also after an interrupted run."""
    if not (folder / ".git").exists():
        return False
    with suppress(BenchError):
        head = await output_of("git", "rev-parse", "HEAD", folder=folder)
        changed = await output_of("git", "status", "--porcelain", "--untracked-files=no", folder=folder)
        return head.decode().strip() == hash_ and not changed
    return False


async def output_of(*command: str, folder: Path | None = None) -> bytes:
    process, output = await _communicate(command, folder=folder, stdout=asyncio.subprocess.PIPE)
    if process.returncode:
        raise BenchError(f"`{' '.join(command)}` ended with {process.returncode}.")
    return output


async def _run(*command: str, folder: Path) -> int:
    process, _ = await _communicate(command, folder=folder, stdout=asyncio.subprocess.DEVNULL)
    return process.returncode or 0


async def _communicate(
    command: Sequence[str], *, folder: Path | None, stdout: int
) -> tuple[asyncio.subprocess.Process, bytes]:
    """Run a command in a process group of its own, which ends with this task, for it may start servers."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=_environment(), stdout=stdout, start_new_session=True
        )
    except FileNotFoundError:
        raise BenchError(f"{command[0]} is needed for another commit's tree, and is not installed.") from None
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        await _stop(process)
        raise
    return process, output or b""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Stop the group as Ctrl-C does, so that it stops its servers; kill it if it does not end in time."""
    for how in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
            return
