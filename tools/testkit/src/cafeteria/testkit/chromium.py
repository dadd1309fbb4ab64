"""Finds and starts the browser that drives the pages, for their tests and for their benchmark."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

VARIABLE = "CAFETERIA_CHROMIUM"
USUAL_PLACES = (
    "/usr/lib/chromium/chromium-headless-shell",  # takes half of the CPU that the whole browser does
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ROOT_UID = 0


class NoChromiumError(Exception):
    """Says in one sentence which browser is missing and how to get one."""


def find_chromium(environ: Mapping[str, str] = os.environ, places: Iterable[str] = USUAL_PLACES) -> Path:
    """Return the program that CAFETERIA_CHROMIUM names, or else the first that is installed. Raises `NoChromiumError`."""
    if named := environ.get(VARIABLE):
        if not Path(named).is_file():
            raise NoChromiumError(
                f"{VARIABLE} names {named}, and there is no such file: correct or unset it."
            )
        return Path(named)
    found = next((path for path in map(Path, places) if path.is_file()), None)
    if found is None:
        raise NoChromiumError(
            f"There is no Chromium or Chrome here: install one (Debian: apt-get install chromium-headless-shell), or name it in {VARIABLE}."
        )
    return found


@asynccontextmanager
async def running_chromium(program: Path) -> AsyncIterator[Browser]:
    """A browser without windows; it ends with the context."""
    # Chromium's sandbox refuses to run as root
    flags = ["--no-sandbox"] if os.getuid() == ROOT_UID else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            await browser.close()
