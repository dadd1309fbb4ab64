"""`await run(options)` runs the selected crash points and shows progress on the console."""

import asyncio

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cafeteria.crash_points.options import CrashOptions
from cafeteria.crash_points.workers import CrashResult, CrashRun
from cafeteria.faultkit.milestones import Milestones
from cafeteria.local_stack.tasks import running

EVERY_S = 0.5


async def run(options: CrashOptions, console: Console | None = None) -> CrashResult:
    """Run the selected crash points. Raises StackError when an environment cannot be set up."""
    console = console or Console(quiet=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("crash points", total=None)
        run = CrashRun(options, report=lambda sentence: progress.console.print(sentence, highlight=False))
        async with running(_show(run, progress, task)):
            return await run.run()


async def _show(run: CrashRun, progress: Progress, task: TaskID) -> None:
    milestones = Milestones(progress.console)
    while True:
        result = run.result
        broken = f", {len(result.violations)} broken" if result.violations else ""
        milestones.passed(f"{len(result.outcomes)} of {result.chosen} crash points{broken}")
        progress.update(
            task,
            total=result.chosen or None,
            completed=len(result.outcomes),
            description=f"crash points{broken}",
        )
        await asyncio.sleep(EVERY_S)
