"""How far a durable consumer or an ordered reader has come: whether a message that is missing may only be unread."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import nats.errors

from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.jetstream_api import JetStreamApi, Refused, is_behind
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.channels import Durable, Stream

READER_LAG = metrics.gauge(
    "cafeteria_reader_lag", "Messages stored and not handled yet; -1 while not reading", "stream"
)

_NO_ANSWER = (nats.errors.Error, TimeoutError, msgspec.MsgspecError, Refused)


class ConsumerLag:
    """The lag of one durable, as far as this process takes part in it."""

    def __init__(self, bus: Bus, durable: Durable) -> None:
        self._bus = bus
        self._durable = durable
        self._last_stored_at: datetime | None = None

    def handled(self, stored_at: datetime) -> None:
        """Note when the stream stored the message that was handled last."""
        self._last_stored_at = stored_at

    async def is_behind(self) -> bool:
        """Return whether a missing message may only be unread; True also if that is unknown."""
        try:
            info = await JetStreamApi(self._bus.client).consumer(self._durable.stream, self._durable.name)
        except _NO_ANSWER:
            return True
        return is_behind(unread=info.unread, last_stored_at=self._last_stored_at, server_time=info.ts)


class StreamLag:
    """The lag of the ordered reader of one stream, which keeps it up to date while it reads."""

    def __init__(self, bus: Bus, stream: Stream) -> None:
        self._bus = bus
        self._stream = stream.name
        self._unread: Callable[[], int] | None = None
        self._in_progress = 0
        self._last_stored_at: datetime | None = None
        READER_LAG.labels(stream.name).set_function(lambda: -1 if self.messages is None else self.messages)

    @property
    def messages(self) -> int | None:
        """The number of stored messages that are not handled yet; None while not reading, when it is unknown."""
        return None if self._unread is None else self._unread() + self._in_progress

    def started(self, unread: Callable[[], int]) -> None:
        """Note that a consumer reads. `unread` counts the stored messages that it has not returned."""
        self._unread = unread

    def stopped(self) -> None:
        """Note that no consumer reads."""
        self._unread, self._in_progress = None, 0

    def received(self, messages: int) -> None:
        """Note how many messages are being handled."""
        self._in_progress = messages

    def handled(self, stored_at: datetime) -> None:
        """Note that they are handled, and when the stream stored the last of them."""
        self._in_progress, self._last_stored_at = 0, stored_at

    async def is_behind(self) -> bool:
        """Return whether a missing message may only be unread; True also if that is unknown."""
        if (unread := self.messages) is None:
            return True
        try:
            info = await JetStreamApi(self._bus.client).stream(self._stream)
        except _NO_ANSWER:
            return True
        return is_behind(unread=unread, last_stored_at=self._last_stored_at, server_time=info.ts)

    async def check(self) -> None:
        """Raise Unavailable while the stream is not being read."""
        if self.messages is None:
            raise Unavailable(f"The stream {self._stream} is not being read.")
