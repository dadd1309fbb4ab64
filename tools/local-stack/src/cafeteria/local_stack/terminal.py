"""Prints a running stack's addresses and accounts, and its output with the writer's name before each line."""

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import metadata
from io import TextIOWrapper
from itertools import cycle

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.edge import BOARD, KITCHEN, OPERATOR, STUDENTS
from cafeteria.provisioning import demo_data

OWN_NAME = "stack"
_NAME_WIDTH = max(len(name) for name in SERVICES)
_FILE_WIDTH = 120  # a file has no width, and nobody can copy a wrapped address
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")


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

    def show_addresses(
        self,
        url: Callable[[str], str],
        *,
        pages: Mapping[str, str],
        with_accounts: bool = True,
        with_schema: bool = True,
    ) -> None:
        """Print what a person needs to use the running stack, people's addresses first.

        `url` returns a service's base URL; `pages` has the address of each role's page.
        """
        if pages:
            self._console.print(_pages(pages, with_accounts=with_accounts))
        elif with_accounts:
            self._console.print(_accounts())
        if with_accounts:
            self._console.print(f"The password of all accounts is {demo_data.PASSWORD}\n")
        self._console.print(_addresses(url))
        if with_schema:
            self._console.print("Add /schema to the address of a service to read how it is called.")
        self._console.print("Ctrl-C stops everything and keeps the data; `just reset` wipes it.\n")

    def _rendered(self, markup: str) -> str:
        with self._console.capture() as captured:
            self._console.print(markup, end="")
        return captured.get()


_ACCOUNTS = {
    STUDENTS: f"{demo_data.STUDENTS[0]} to {demo_data.STUDENTS[-1]}",
    KITCHEN: demo_data.KITCHEN,
    OPERATOR: demo_data.OPERATOR,
}
_SIGN_IN = _ACCOUNTS | {BOARD: "nobody"}


def _pages(pages: Mapping[str, str], *, with_accounts: bool) -> Table:
    columns: list[Column | str] = [
        "for",
        Column("open in a browser", no_wrap=True),
        *(["sign in as"] if with_accounts else []),
    ]
    table = Table(*columns, title="The cafeteria is open")
    for who, address in pages.items():
        table.add_row(who, address, *([_SIGN_IN[who]] if with_accounts else []))
    return table


def _addresses(url: Callable[[str], str]) -> Table:
    table = Table("service", Column("address", no_wrap=True), "for", title="Services, for programs")
    for service in sorted(SERVICES, key=url):
        table.add_row(service, url(service), metadata(f"cafeteria-{service}")["Summary"])
    return table


def _accounts() -> Table:
    table = Table("for", "account", title="Demo accounts")
    for who, account in _ACCOUNTS.items():
        table.add_row(who, account)
    return table
