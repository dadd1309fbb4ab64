"""Who may say and hear what on the bus: allow-lists per service, least first.

Owners come from the contracts; who asks whom stands here, and a test holds this table against the
contracts, so that a new subject without a word on its callers is found at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cafeteria.contracts import bus
from cafeteria.contracts.wire import Durable, Stream

RPC_CALLERS: dict[str, tuple[str, ...]] = {
    bus.RESERVE.subject: (bus.GATEWAY,),
    bus.RELEASE.subject: (bus.GATEWAY,),
    bus.CANCEL.subject: (bus.GATEWAY,),
    bus.KITCHEN_KNOWN.subject: (bus.GATEWAY,),
    bus.GATEWAY_KNOWN.subject: (bus.KITCHEN,),
    bus.NOTIFICATION_KNOWN.subject: (bus.GATEWAY, bus.KITCHEN),
    bus.JWKS.subject: bus.SERVICES,
}
"""Who may ask for an answer."""

TOPIC_READERS: dict[str, tuple[str, ...]] = {bus.AVAILABILITY.subject: (bus.GATEWAY,)}
"""Who may hear a topic that no stream stores."""

EPHEMERAL_READERS: dict[str, str] = {bus.NOTIFICATION_STREAM.name: bus.NOTIFICATION}
"""The one service that may make consumers of its own on a stream, and take them away again."""

SERVICE_NAME_PREFIX = "cafeteria-"
"""What the chassis puts before a service's name when it registers with the micro protocol."""


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Subjects, sorted. `never` takes single names out of a wildcard in `publish`."""

    publish: tuple[str, ...]
    never: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(user: str) -> str:
    return f"_INBOX_{user}"


def rights_of(service: str) -> Rights:
    return Rights(
        publish=tuple(sorted(set(_publish(service)))),
        never=tuple(sorted(set(_never(service)))),
        subscribe=tuple(sorted(set(_subscribe(service)))),
    )


def _publish(service: str) -> Iterable[str]:
    yield from (topic.subject for topic in bus.TOPICS if topic.owner == service)
    yield from (subject for subject, callers in RPC_CALLERS.items() if service in callers)
    yield from (f"$JS.API.STREAM.INFO.{stream.name}" for stream in _streams_of(service))
    for durable in bus.DURABLES:
        if durable.owner == service:
            yield from _reading(durable.stream, durable.name)
            yield f"$JS.ACK.{durable.stream}.{durable.name}.>"
    for stream, reader in EPHEMERAL_READERS.items():
        if reader == service:
            yield from _reading(stream, "*")  # in order and without acknowledging
            yield f"$JS.API.CONSUMER.CREATE.{stream}.>"
            yield f"$JS.API.CONSUMER.DELETE.{stream}.*"


def _reading(stream: str, name: str) -> Iterable[str]:
    yield f"$JS.API.CONSUMER.INFO.{stream}.{name}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"


def _never(service: str) -> Iterable[str]:
    """Where a service may make consumers, the durables of others on that stream stay out of its hands."""
    for durable in _durables_beside(service):
        yield from _reading(durable.stream, durable.name)
        yield f"$JS.API.CONSUMER.CREATE.{durable.stream}.{durable.name}"
        yield f"$JS.API.CONSUMER.CREATE.{durable.stream}.{durable.name}.>"
        yield f"$JS.API.CONSUMER.DELETE.{durable.stream}.{durable.name}"


def _durables_beside(service: str) -> Iterable[Durable]:
    for durable in bus.DURABLES:
        if EPHEMERAL_READERS.get(durable.stream) == service != durable.owner:
            yield durable


def _subscribe(service: str) -> Iterable[str]:
    yield f"{inbox_prefix(service)}.>"
    yield from (rpc.subject for rpc in bus.RPCS if rpc.owner == service)
    yield from (subject for subject, readers in TOPIC_READERS.items() if service in readers)
    if any(rpc.owner == service for rpc in bus.RPCS):
        name = f"{SERVICE_NAME_PREFIX}{service}"
        for verb in ("PING", "INFO", "STATS"):
            yield from (f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{name}.*")


def _streams_of(service: str) -> Iterable[Stream]:
    """The streams that a service writes to or reads."""
    written = {topic.subject for topic in bus.TOPICS if topic.owner == service}
    read = {durable.stream for durable in bus.DURABLES if durable.owner == service}
    for stream in bus.STREAMS:
        reads = stream.name in read or EPHEMERAL_READERS.get(stream.name) == service
        if reads or written.intersection(stream.subjects):
            yield stream
