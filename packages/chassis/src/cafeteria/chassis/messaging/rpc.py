"""Request-reply by the NATS micro protocol: one queue group per service, with `$SRV.PING/INFO/STATS`.

If a handler raises, the caller gets a reply with an error header instead of a time-out. It then knows that nothing was
decided, and repeats the request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any, TypeVar

import msgspec
import nats.errors
from nats.micro.request import Request as MicroRequest
from nats.micro.service import Service, ServiceConfig

from cafeteria.chassis.messaging.envelope import ENCODER
from cafeteria.chassis.messaging.errors import NoAnswer, NoResponder, PeerRefused
from cafeteria.chassis.messaging.items import UnreadableItem, items_decoder_for
from cafeteria.chassis.messaging.nats_client import BusClient, has_reply_subject
from cafeteria.chassis.observability import metrics, tracing
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.contracts.channels import HEADER_SENDER, HEADER_TRACEPARENT, Rpc

VERSION = "1.0.0"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"
ERROR_HEADER = "Nats-Service-Error"
LONGEST_DESCRIPTION = 300  # characters
DRAIN_TIMEOUT_S = 2.0
LEAVE_TIMEOUT_S = 0.5  # for the server to confirm the unsubscribe; a silent server sends no requests anyway

Reply = TypeVar("Reply", bound=msgspec.Struct)
Decoded = TypeVar("Decoded")

SECONDS = metrics.histogram("cafeteria_rpc_seconds", "Seconds from request to reply, at the owner", "subject")
FAILURES = metrics.counter("cafeteria_rpc_failures_total", "Requests answered with an error", "subject")

logger = get_logger()


async def ask(
    client: BusClient,
    rpc: Rpc[Any, Any],
    message: msgspec.Struct,
    *,
    decode: Callable[[bytes], Decoded],
    deadline_s: float,
    headers: dict[str, str],
) -> Decoded:
    """Send a request and decode the reply. Raises NoResponder, NoAnswer or PeerRefused."""
    body = ENCODER.encode(message)
    try:
        answer = await client.request(rpc.subject, body, timeout=deadline_s, headers=headers)
    except nats.errors.NoRespondersError as error:
        raise NoResponder(rpc.subject) from error
    except (nats.errors.Error, TimeoutError) as error:
        raise NoAnswer(rpc.subject) from error
    found = answer.headers or {}
    if ERROR_CODE_HEADER in found:
        code, description = found[ERROR_CODE_HEADER], found.get(ERROR_HEADER, "")
        raise PeerRefused(rpc.subject, code=code, description=description)
    try:
        return decode(answer.data)
    except msgspec.MsgspecError as error:
        logger.exception("reply_undecodable", subject=rpc.subject)
        raise NoAnswer(rpc.subject) from error


def readable_items_of(body_type: type[msgspec.Struct], *, subject: str) -> Callable[[bytes], list[Any]]:
    """Return a decoder for a body that is one list; it logs unreadable items and leaves them out."""
    decode = items_decoder_for(body_type).decode

    def readable(body: bytes) -> list[Any]:
        items = decode(body)
        for item in items:
            if isinstance(item, UnreadableItem):
                logger.error("item_undecodable", subject=subject, reason=item.error)
        return [item for item in items if not isinstance(item, UnreadableItem)]

    return readable


class Endpoints:
    """The request-reply endpoints of one service."""

    def __init__(self, client: BusClient, *, service: str) -> None:
        self._client = client
        self._service = service
        self._micro: Service | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def add(
        self,
        rpc: Rpc[Any, Reply],
        handler: Callable[[Decoded], Awaitable[Reply]],
        *,
        decode: Callable[[bytes], Decoded],
    ) -> None:
        """Subscribe an endpoint. Raises if the server does not confirm it; a reconnect sends the subscription again."""
        endpoint = _Endpoint(rpc, handler, decode=decode)

        async def on_request(request: MicroRequest) -> None:
            """Start a task and return: nats-py delivers the next message only then."""
            task = asyncio.create_task(endpoint.answer(request))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        micro = self._micro_service()
        await micro.add_endpoint(
            name=rpc.subject.rsplit(".", 1)[-1],
            subject=rpc.subject,
            queue_group=self._service,
            handler=on_request,
        )
        await micro.start()  # last, because it waits for the server; a second call does nothing
        await self._client.flush_all()

    def _micro_service(self) -> Service:
        if self._micro is None:
            config = ServiceConfig(
                name=f"cafeteria-{self._service}", version=VERSION, queue_group=self._service
            )
            self._micro = Service(self._client, config)
        return self._micro

    async def close(self) -> None:
        """Leave the queue groups, then finish the requests that have arrived."""
        micro, self._micro = self._micro, None
        if micro is not None and self._client.is_connected:
            with suppress(nats.errors.Error, TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await micro.stop()
        if self._answering:
            await asyncio.wait(self._answering, timeout=DRAIN_TIMEOUT_S)


class _Endpoint:
    """Decodes a request, calls the handler and replies; logs one canonical line and one duration per request."""

    def __init__(
        self,
        rpc: Rpc[Any, Any],
        handler: Callable[[Any], Awaitable[Any]],
        *,
        decode: Callable[[bytes], Any],
    ) -> None:
        self._subject = rpc.subject
        self._decode = decode
        self._handler = handler
        self._seconds = SECONDS.labels(rpc.subject)
        self._failures = FAILURES.labels(rpc.subject)

    async def answer(self, request: MicroRequest) -> None:
        if not has_reply_subject(request):
            logger.warning("request_without_reply_subject", subject=self._subject)
            return
        started = perf_counter()
        headers = request.headers or {}
        tracing.enter(headers.get(HEADER_TRACEPARENT))
        outcome = "answered"
        try:
            await request.respond(ENCODER.encode(await self._handler(self._decode(request.data))))
        except (msgspec.MsgspecError, ServiceError) as error:
            outcome = "refused"
            await self._refuse(request, error)
        except nats.errors.Error as error:
            outcome = f"not sent: {error!r}"
        except Exception:
            outcome = "failed"
            logger.exception("request_failed", subject=self._subject)
            await self._refuse(request, None)
        seconds = perf_counter() - started
        self._seconds.observe(seconds)
        logger.info(
            "request_handled",
            subject=self._subject,
            sender=headers.get(HEADER_SENDER),
            outcome=outcome,
            duration_ms=round(seconds * 1000, 2),
        )

    async def _refuse(self, request: MicroRequest, error: Exception | None) -> None:
        self._failures.inc()
        code, description = _error_reply(error)
        try:
            await request.respond_error(code, description)
        except nats.errors.Error:
            logger.warning("reply_not_sent", subject=self._subject)


def _error_reply(error: Exception | None) -> tuple[str, str]:
    if isinstance(error, ServiceError):
        return str(error.status), error.code
    if isinstance(error, msgspec.MsgspecError):
        return "400", ascii(str(error))[1:-1][
            :LONGEST_DESCRIPTION
        ]  # the text quotes the body, and becomes a header
    return "500", "internal"
