"""The bus: typed request-reply with a deadline, publishing to streams, and consumers that acknowledge after commit."""

from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.consumer import Consumer
from cafeteria.chassis.messaging.errors import NoAnswer, NoResponder, NotStored, PeerRefused

__all__ = ["Bus", "Consumer", "NoAnswer", "NoResponder", "NotStored", "PeerRefused"]
