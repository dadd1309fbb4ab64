"""The bus: typed request-reply with a deadline, publishing to streams, and consumers that acknowledge after commit."""

from cafeteria.chassis.bus.connection import Bus
from cafeteria.chassis.bus.consumer import Consumer
from cafeteria.chassis.bus.errors import NoAnswer, NoResponder, NotStored, PeerRefused

__all__ = ["Bus", "Consumer", "NoAnswer", "NoResponder", "NotStored", "PeerRefused"]
