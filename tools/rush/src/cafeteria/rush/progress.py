"""Progress on the console: a live table on a terminal, otherwise a line every few seconds."""

import asyncio
from collections import Counter
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cafeteria.faultkit.history import Exchange, Intent
from cafeteria.rush.load_clients import LoadClients
from cafeteria.rush.nemesis import Nemesis

EVERY_S = 0.5
LINE_EVERY_S = 5.0
LATELY_S = 5.0


class Figures:
    """Counts the answers so far, and measures the latency of recent ones."""

    def __init__(self) -> None:
        self.answers: Counter[int | None] = Counter()
        self.lately: list[Exchange] = []
        self._counted = 0

    def take(self, exchanges: list[Exchange], *, now_s: float) -> None:
        new = [each for each in exchanges[self._counted :] if each.intent is Intent.ORDER]
        self._counted = len(exchanges)
        self.answers.update(each.status for each in new)
        self.lately = [each for each in (*self.lately, *new) if each.ended_at_s > now_s - LATELY_S]

    @property
    def per_s(self) -> float:
        return sum(each.status == 201 for each in self.lately) / LATELY_S  # noqa: PLR2004 - HTTP

    def slowest_ms(self, share: float) -> float:
        """Return the latency in milliseconds that `share` of the recent answers do not exceed."""
        took = sorted(each.ended_at_s - each.sent_at_s for each in self.lately)
        return 1000 * took[min(len(took) - 1, int(len(took) * share))] if took else 0.0


class Progress:
    """Shows progress inside its block. Until `watch` is called it only prints the sentences given to `say`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._figures = Figures()
        self._load_clients: LoadClients | None = None
        self._nemesis: Nemesis | None = None
        self._showing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        self._showing = asyncio.create_task(self._show())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._showing:
            self._showing.cancel()
            await asyncio.gather(self._showing, return_exceptions=True)
        if self._live:
            self._live.stop()

    def say(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False)

    def watch(self, load_clients: LoadClients, nemesis: Nemesis) -> None:
        self._load_clients, self._nemesis = load_clients, nemesis

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S if self._live else LINE_EVERY_S)
            if self._load_clients is None or self._nemesis is None:
                continue
            self._figures.take(
                self._load_clients.history.exchanges, now_s=self._load_clients.students[0].now_s()
            )
            rows = self._rows(self._load_clients, self._nemesis)
            if self._live:
                self._live.update(_table(rows))
            else:
                self.say(" · ".join(f"{name} {value}" for name, value in rows.items()))

    def _rows(self, load_clients: LoadClients, nemesis: Nemesis) -> dict[str, str]:
        figures, load_control = self._figures, load_clients.load_control
        lasting = [injection.name for injection in nemesis.injections if injection.healed_at_s is None]
        answers = {str(status or "none"): count for status, count in sorted(figures.answers.items(), key=str)}
        return {
            "orders": f"{load_control.begun}/{load_control.orders} ({load_control.in_flight} in flight, {figures.per_s:.0f} accepted/s)",
            "latency": f"p50 {figures.slowest_ms(0.5):.0f} ms, p99 {figures.slowest_ms(0.99):.0f} ms",
            "answers": ", ".join(f"{status}: {count}" for status, count in answers.items()),
            "events": f"{len(load_clients.history.observed_statuses)}",
            "faults": f"{len(nemesis.injections)}/{nemesis.planned} {', '.join(lasting)}",
        }


def _table(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/bold]", value)
    return table
