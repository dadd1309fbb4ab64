"""Names for the messages of one connection to NATS: verb and subject; a reply is named after its request.

Inboxes are random and acknowledgements carry numbers, so neither can be a name.
"""

import re

from cafeteria.crash_points.naming import Marks, Named
from cafeteria.faultkit.nats_frames import NatsFrame
from cafeteria.faultkit.tcp_proxy import Direction

_RANDOM_PARTS = re.compile(r"[0-9a-f]{16,}|(?<=\.)[0-9A-Za-z]{20,}|(?<=-reader-)[0-9]{2}")
_ACKNOWLEDGEMENT = "$JS.ACK."
_ACKNOWLEDGED_BY = slice(2, 4)  # stream and consumer, after $JS and ACK
_INBOXES = ("_INBOX", "_R_.")
"""Prefixes of reply subjects: within an account, and from another."""
_KEEP_ALIVE = frozenset({"INFO", "CONNECT", "PING", "PONG", "+OK", "UNSUB"})
"""Verbs that keep a connection alive and concern no order."""


class NatsNames:
    """Names the messages of one connection, in both directions."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._requests: dict[str, tuple[str, bool]] = {}
        """By reply subject: the request's subject, and whether it concerned the order."""

    def name(self, frame: NatsFrame, _: Direction) -> Named | None:
        """Return the message's name; None if it only keeps the connection alive."""
        if frame.verb in _KEEP_ALIVE or (frame.verb == "SUB" and frame.subject.startswith(_INBOXES)):
            return None
        self._marks.learn(frame.body)
        subject, is_the_orders = self._subject(frame)
        is_the_orders = is_the_orders or self._marks.occur_in(frame.raw)
        if frame.answer_to:
            self._requests[frame.answer_to] = (subject, is_the_orders)
        return Named(topic=subject, kind=frame.verb, is_the_orders=is_the_orders)

    def _subject(self, frame: NatsFrame) -> tuple[str, bool]:
        """Return the subject without random parts, and whether the message replies to one about the order."""
        question, is_the_orders = self._requests.get(frame.subject, ("", False))
        if frame.subject.startswith(_ACKNOWLEDGEMENT):
            words = frame.subject.split(".")[_ACKNOWLEDGED_BY]
            return f"ack-{lasting('.'.join(words))}", is_the_orders
        if question:
            return f"answer-to-{question}", is_the_orders
        if frame.subject.startswith(_INBOXES):
            return "inbox", False
        return lasting(frame.subject), False


def lasting(subject: str) -> str:
    """Return the subject with `*` for each random part."""
    return _RANDOM_PARTS.sub("*", subject)
