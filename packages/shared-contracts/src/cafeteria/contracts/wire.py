"""What a subject carries: descriptors that tie a NATS subject to its owner and its message types.

The message's type travels in a header under the explicit name given here, so a class may be renamed
without changing the wire.
"""

from typing import Generic, TypeVar

import msgspec

Request = TypeVar("Request", bound=msgspec.Struct)
Reply = TypeVar("Reply", bound=msgspec.Struct)
Body = TypeVar("Body", bound=msgspec.Struct)

MAX_ITEMS = 256
MAX_MESSAGE_BYTES = 256 * 1024
"""Of the body of one stored message. A body that is one list holds up to MAX_ITEMS, each read by itself."""
ACK_WAIT_S = 5
"""After which the server delivers a message again that nobody has acknowledged."""
WIRE = "2"
"""What a stream's metadata say of the form of its messages."""

HEADER_MESSAGE_ID = "Nats-Msg-Id"
HEADER_TYPE = "Cafeteria-Type"
HEADER_SENDER = "Cafeteria-Sender"
HEADER_TRACEPARENT = "traceparent"


class Rpc(msgspec.Struct, Generic[Request, Reply], frozen=True, kw_only=True):
    """One request-reply subject. `owner` is the service that answers it."""

    owner: str
    subject: str
    request: type[Request]
    reply: type[Reply]


class Topic(msgspec.Struct, Generic[Body], frozen=True, kw_only=True):
    """One published subject. `owner` is the only service that may publish it.

    What a stream stores has a `body` of one field, a list: many items go as one message.
    """

    owner: str
    subject: str
    type_name: str
    body: type[Body]


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One JetStream stream and the subjects that it stores."""

    name: str
    subjects: tuple[str, ...]


class Durable(msgspec.Struct, frozen=True, kw_only=True):
    """One durable pull consumer, shared by the replicas of `owner`."""

    owner: str
    stream: str
    name: str
    filter_subject: str


class Readers(msgspec.Struct, frozen=True, kw_only=True):
    """Pull consumers on one stream that read in order and acknowledge nothing; a process of `owner` uses one alone."""

    owner: str
    stream: str
    names: tuple[str, ...]
