"""Collects what no page may do: write to the console, raise, break its own policy, ask another origin, miss a file."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Request, Response, WebError

API_PATHS = ("/v1/", "/demo")
"""Requests to these may fail: the page says so to its user, and the browser writes a line of its own to the console."""
FAILED_LOADING = "Failed to load resource"
INSIDE_THE_PAGE = ("data", "blob", "about")
NOT_FOUND = 404


class PageFaults:
    """The faults of all pages of the contexts that it watches, a sentence each.

    Chromium writes each violation of the content security policy to the console as an error.
    """

    def __init__(self, *, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._found: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def watch(self, context: BrowserContext) -> None:
        """Collect the faults of the context's pages, those that it opens later too."""
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("response", self._on_response)

    def allow(self, pattern: str) -> None:
        """Leave out the sentences in which the pattern is found: a test provokes them."""
        self._allowed.append(re.compile(pattern))

    @property
    def sentences(self) -> list[str]:
        return [each for each in self._found if not any(pattern.search(each) for pattern in self._allowed)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        if message.text.startswith(FAILED_LOADING) and _is_api(message.location["url"]):
            return
        self._found.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _on_error(self, error: WebError) -> None:
        self._found.append(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in INSIDE_THE_PAGE and not self._is_own(request.url):
            self._found.append(f"asked another origin: {request.method} {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status == NOT_FOUND and not urlsplit(response.url).path.startswith("/demo"):
            self._found.append(f"not found: {response.request.method} {response.url}")


def _is_api(url: str) -> bool:
    return urlsplit(url).path.startswith(API_PATHS)
