"""Records what the pages of a browser order and cancel, as load clients record what they send.

An answer that a test made up is no exchange with the system, and so is not recorded.
"""

import asyncio
import re
from contextlib import suppress
from http.cookies import SimpleCookie
from time import monotonic
from urllib.parse import urlsplit
from uuid import UUID

import jwt
from playwright.async_api import BrowserContext, Error, Request

from cafeteria.faultkit.history import Exchange, History, Intent

PATH = re.compile(r"/v1/orders(?:/(?P<cancelled>[0-9a-f-]{36})/cancel)?")
ACCESS_COOKIE = "cafeteria_access"
READING_S = 10.0
"""What the browser knows of a request it tells at once; of one whose page was closed it may tell nothing."""

Answer = tuple[int | None, bytes]


class BrowserOrders:
    """Adds every order and cancel request of the contexts that it watches to `history`."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._began_at = monotonic()
        self._under_way: dict[Request, tuple[float, asyncio.Task[str]]] = {}
        self._recording: set[asyncio.Task[None]] = set()

    def watch(self, context: BrowserContext) -> None:
        context.on("request", self._begin)
        context.on("requestfinished", self._end)
        context.on("requestfailed", self._end)

    def now_s(self) -> float:
        return monotonic() - self._began_at

    async def record_all(self) -> None:
        """Wait until everything is recorded; a request that is still under way counts as not answered."""
        for request in list(self._under_way):
            self._end(request)
        await asyncio.gather(*self._recording)

    def _begin(self, request: Request) -> None:
        if request.method == "POST" and PATH.fullmatch(urlsplit(request.url).path):
            self._under_way[request] = self.now_s(), asyncio.create_task(_student_of(request))

    def _end(self, request: Request) -> None:
        if request in self._under_way:
            task = asyncio.create_task(self._record(request, *self._under_way.pop(request)))
            self._recording.add(task)
            task.add_done_callback(self._recording.discard)

    async def _record(self, request: Request, sent_at_s: float, student: asyncio.Task[str]) -> None:
        ended_at_s, student_id = self.now_s(), await student
        answer = await _answer_to(request)
        if answer is None:
            return
        path = PATH.fullmatch(urlsplit(request.url).path)
        cancelled = path and path["cancelled"]
        self.history.exchanges.append(
            Exchange(
                intent=Intent.CANCEL if cancelled else Intent.ORDER,
                student_id=student_id,
                sent_at_s=sent_at_s,
                ended_at_s=ended_at_s,
                status=answer[0],
                body=answer[1],
                key=request.headers.get("idempotency-key", "").strip('"') or None,
                order_id=UUID(cancelled) if cancelled else None,
            )
        )


async def _student_of(request: Request) -> str:
    """The student whose cookie the request carries; "" where it carries none."""
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(READING_S):
            cookies = SimpleCookie((await request.all_headers()).get("cookie", ""))
            if ACCESS_COOKIE in cookies:
                claims = jwt.decode(cookies[ACCESS_COOKIE].value, options={"verify_signature": False})
                return str(claims["sub"])
    return ""


async def _answer_to(request: Request) -> Answer | None:
    """Return status and body, (None, b"") without a whole answer, and None if no server was asked."""
    if request.failure is not None:
        return None, b""
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(READING_S):
            response = await request.response()
            if response is not None:
                return (response.status, await response.body()) if await response.server_addr() else None
    return None, b""
