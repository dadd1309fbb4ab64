"""Names for what one connection to NATS says: by the verb and the subject, an answer by what it answers.

Inboxes are drawn by lot and acknowledgements carry numbers, so neither can be a name.
"""

import re

from cafeteria.rush.crash_points.naming import Marks, Named
from cafeteria.rush.crash_points.nats_frames import NatsFrame
from cafeteria.rush.proxy import Direction

_DRAWN_BY_LOT = re.compile(r"[0-9a-f]{16,}|(?<=\.)[0-9A-Za-z]{20,}|(?<=-reader-)[0-9]{2}")
_ACKNOWLEDGEMENT = "$JS.ACK."
_ACKNOWLEDGED_BY = slice(2, 4)  # stream and consumer, after $JS and ACK
_INBOXES = ("_INBOX", "_R_.")
"""For answers: within an account, and from another."""
_SILENT = frozenset({"INFO", "CONNECT", "PING", "PONG", "+OK", "UNSUB"})
"""What keeps a connection alive, and says nothing of any order."""


class NatsNames:
    """One connection, both directions."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._asked: dict[str, tuple[str, bool]] = {}
        """By the subject for the answer: what was asked, and whether it was about the order."""

    def name(self, frame: NatsFrame, _: Direction) -> Named | None:
        """None for what only keeps the connection alive."""
        if frame.verb in _SILENT or (frame.verb == "SUB" and frame.subject.startswith(_INBOXES)):
            return None
        self._marks.learn(frame.body)
        subject, is_the_orders = self._subject(frame)
        is_the_orders = is_the_orders or self._marks.stand_in(frame.raw)
        if frame.answer_to:
            self._asked[frame.answer_to] = (subject, is_the_orders)
        return Named(topic=subject, kind=frame.verb, is_the_orders=is_the_orders)

    def _subject(self, frame: NatsFrame) -> tuple[str, bool]:
        """The subject as it can be repeated, and whether it answers a message about the order."""
        question, is_the_orders = self._asked.get(frame.subject, ("", False))
        if frame.subject.startswith(_ACKNOWLEDGEMENT):
            words = frame.subject.split(".")[_ACKNOWLEDGED_BY]
            return f"ack-{lasting('.'.join(words))}", is_the_orders
        if question:
            return f"answer-to-{question}", is_the_orders
        if frame.subject.startswith(_INBOXES):
            return "inbox", False
        return lasting(frame.subject), False


def lasting(subject: str) -> str:
    """Without what is drawn by lot."""
    return _DRAWN_BY_LOT.sub("*", subject)
