"""Descriptors that tie a NATS subject to its owner and its message types.

A header of the message has the explicit type name given here, so renaming a class does not change the wire.
"""

from typing import Generic, TypeVar

import msgspec

Request = TypeVar("Request", bound=msgspec.Struct)
Reply = TypeVar("Reply", bound=msgspec.Struct)
Body = TypeVar("Body", bound=msgspec.Struct)

MAX_ITEMS = 256
MAX_MESSAGE_BYTES = 256 * 1024
"""Limit of the body of a stored message. A body that is one list has up to MAX_ITEMS items, each decoded separately."""
ACK_WAIT_S = 5
"""Seconds after which the server redelivers a message that has no acknowledgement."""
WIRE = "2"
"""Version of the message format, in a stream's metadata."""

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

    A topic that a stream stores has a `body` with one field, a list: many items form one message.
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
    """Pull consumers of one stream that read in order without acknowledgements; a process of `owner` uses its own."""

    owner: str
    stream: str
    names: tuple[str, ...]
