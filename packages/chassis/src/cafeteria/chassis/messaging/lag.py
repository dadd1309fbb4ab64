"""How far a durable consumer has come: whether a message that is missing may only be unread."""

from datetime import datetime

import msgspec
import nats.errors

from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.jetstream_api import JetStreamApi, Refused, is_behind
from cafeteria.contracts.channels import Durable


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
        except (nats.errors.Error, TimeoutError, msgspec.MsgspecError, Refused):
            return True
        return is_behind(unread=info.unread, last_stored_at=self._last_stored_at, server_time=info.ts)
