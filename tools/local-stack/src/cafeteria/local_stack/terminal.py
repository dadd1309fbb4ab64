"""Prints a running stack's addresses and accounts, and its output with the writer's name before each line."""

import sys
from collections.abc import Callable
from io import TextIOWrapper
from itertools import cycle

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning import demo_data

OWN_NAME = "stack"
_NAME_WIDTH = max(len(name) for name in SERVICES)
_FILE_WIDTH = 100  # a file has no width, and nobody can copy a wrapped address
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")

_PURPOSES = {
    "gateway": "menu, orders",
    "identity": "login, tokens",
    "stock": "items, prices, ledger",
    "kitchen": "tickets, cooking",
    "notification": "order events (SSE)",
}


class Terminal:
    """Writes lines with a prefix; colours it only on a terminal."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal without a letter still shows the line
        self._console = Console(file=sys.stdout, highlight=False)
        if not self._console.is_terminal:
            self._console.width = _FILE_WIDTH
        colours = cycle(_COLOURS)
        self._colours = {name: next(colours) for name in SERVICES} | {OWN_NAME: "white"}

    def write(self, sentence: str) -> None:
        self.echo_for(OWN_NAME)(sentence)

    def echo_for(self, member: str) -> Callable[[str], None]:
        """Return a function that writes one line of the member's output, without interpreting markup."""
        label = f"{member:<{_NAME_WIDTH}} | "
        if not self._console.is_terminal:
            return lambda line: print(label + line, flush=True)  # noqa: T201 - this is the terminal
        colour = self._colours.get(member.partition("-")[0], "white")
        prefix = Text(label, style=colour).markup
        before, _, after = self._rendered(prefix).partition(label)
        return lambda line: print(f"{before}{label}{after}{line}", flush=True)  # noqa: T201 - this is the terminal

    def show_addresses(self, stack: Stack) -> None:
        self._console.print(_addresses(stack))
        self._console.print(_accounts())
        if not stack.plan.environment.get(
            "CAFETERIA_INTERNAL_PORT_BASE"
        ):  # else these addresses do not have it
            self._console.print("Add /schema to an address to read how it is called.")
        self._console.print("Ctrl-C stops everything and keeps the data; `just reset` wipes it.\n")

    def _rendered(self, markup: str) -> str:
        with self._console.capture() as captured:
            self._console.print(markup, end="")
        return captured.get()


def _addresses(stack: Stack) -> Table:
    table = Table("service", "address", "for", title="The cafeteria is open")
    for service in sorted(SERVICES, key=stack.url):
        table.add_row(service, stack.url(service), _PURPOSES[service])
    return table


def _accounts() -> Table:
    table = Table("account", "role", "password", title="Demo accounts")
    students = demo_data.STUDENTS
    table.add_row(f"{students[0]} to {students[-1]}", "student", demo_data.PASSWORD)
    table.add_row(demo_data.KITCHEN, "kitchen", demo_data.PASSWORD)
    table.add_row(demo_data.OPERATOR, "operator", demo_data.PASSWORD)
    return table
