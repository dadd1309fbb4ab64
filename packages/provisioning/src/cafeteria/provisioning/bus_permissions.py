"""Defines the subjects that each service may publish and subscribe to: allow-lists, as small as possible.

Each service has its own NATS account, and the streams have another. Only the subjects of `grants` pass between
accounts, and a reply returns to the account of its request. A caller chooses the reply subject freely, but neither an
owner's reply nor JetStream's reaches a subject that the caller could not publish to.

The contracts name each subject's owner; this module names its callers. A test compares both, so it fails for a new
subject without callers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from cafeteria.contracts import subjects
from cafeteria.contracts.channels import Durable, Readers, Stream

RPC_CALLERS: dict[str, tuple[str, ...]] = {
    subjects.RESERVE.subject: (subjects.GATEWAY,),
    subjects.RELEASE.subject: (subjects.GATEWAY,),
    subjects.CANCEL.subject: (subjects.GATEWAY,),
    subjects.KITCHEN_DELIVERY.subject: (subjects.GATEWAY,),
    subjects.GATEWAY_DELIVERY.subject: (subjects.KITCHEN,),
    subjects.NOTIFICATION_DELIVERY.subject: (subjects.GATEWAY, subjects.KITCHEN),
    subjects.JWKS.subject: subjects.SERVICES,
}
"""The services that may send each request."""

TOPIC_READERS: dict[str, tuple[str, ...]] = {
    subjects.AVAILABILITY.subject: (subjects.GATEWAY, subjects.NOTIFICATION),
    subjects.PACE.subject: (subjects.GATEWAY, subjects.NOTIFICATION),
    subjects.SESSIONS_REVOKED.subject: tuple(
        service for service in subjects.SERVICES if service != subjects.IDENTITY
    ),
}
"""The services that may subscribe to each topic that no stream stores. Identity reads ended sessions in its database."""

STREAMS_ACCOUNT = "bus"
"""The account of the streams, their consumers and the administrator; a service's account has the service's name."""

SERVICE_NAME_PREFIX = "cafeteria-"
"""The chassis's prefix of a service's name in the micro protocol."""

CROSS_ACCOUNT_REPLIES = "_R_.>"
"""The server's reply subjects for requests from another account; each contains a secret of the server."""

SERVICE_DISCOVERY = "$SRV.>"
Reading = TypeVar("Reading", Durable, Readers)

STORED = frozenset(subject for stream in subjects.STREAMS for subject in stream.subjects)


class Kind(Enum):
    """The kind of traffic on a granted subject: a request with one or many replies, or a message without a reply."""

    ONE_REPLY = "one reply"
    MANY_REPLIES = "many replies"
    NO_REPLY = "no reply"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Users of the account `to` may publish `subject` into the account `owner`, or receive it from there (NO_REPLY)."""

    owner: str
    to: str
    subject: str
    kind: Kind = Kind.ONE_REPLY

    @property
    def name(self) -> str:
        """The name of the subject in the account `to`."""
        return self.subject.replace("$JS.API.", f"{subjects.STREAMS_API}.")


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The subjects that a service's user may publish and subscribe to in its account, sorted."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(user: str) -> str:
    return f"_INBOX_{user}"


def grants() -> tuple[Grant, ...]:
    """Return every subject that passes from one account to another."""
    return (
        *_between_services(),
        *(grant for service in subjects.SERVICES for grant in _with_streams(service)),
    )


def rights_of(service: str) -> Rights:
    publish = {grant.name for grant in grants() if grant.to == service and grant.kind is not Kind.NO_REPLY}
    publish |= {topic.subject for topic in subjects.TOPICS if topic.owner == service}
    publish |= {subject for subject, callers in RPC_CALLERS.items() if service in callers}
    subscribe = {f"{inbox_prefix(service)}.>", *_requests_of(service)}
    subscribe |= {subject for subject, readers in TOPIC_READERS.items() if service in readers}
    if _requests_of(service):
        publish.add(CROSS_ACCOUNT_REPLIES)
        if any(service in RPC_CALLERS[subject] for subject in _requests_of(service)):
            publish.add(f"{inbox_prefix(service)}.>")  # it also sends requests to itself
        subscribe.update(_discovery_subjects(service))
    return Rights(publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)))


def _requests_of(service: str) -> tuple[str, ...]:
    return tuple(rpc.subject for rpc in subjects.RPCS if rpc.owner == service)


def _between_services() -> Iterable[Grant]:
    """An owner's request to itself needs no grant, because it stays in one account."""
    for rpc in subjects.RPCS:
        for caller in RPC_CALLERS[rpc.subject]:
            if caller != rpc.owner:
                yield Grant(owner=rpc.owner, to=caller, subject=rpc.subject)
    for topic in subjects.TOPICS:
        for reader in TOPIC_READERS.get(topic.subject, ()):
            yield Grant(owner=topic.owner, to=reader, subject=topic.subject, kind=Kind.NO_REPLY)


def _with_streams(service: str) -> Iterable[Grant]:
    """The service publishes, reads and acknowledges; the administrator may query the service's instances."""
    for subject in sorted(
        STORED.intersection(topic.subject for topic in subjects.TOPICS if topic.owner == service)
    ):
        yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=subject)
    for stream in _streams_of(service):
        yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=f"$JS.API.STREAM.INFO.{stream.name}")
    for durable in _owned_by(service, subjects.DURABLES):
        yield from _reading(service, durable.stream, durable.name)
        acknowledgement = f"$JS.ACK.{durable.stream}.{durable.name}.>"
        yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=acknowledgement)
    for readers in _owned_by(service, subjects.READERS):
        yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=f"$JS.API.STREAM.MSG.GET.{readers.stream}")
        for name in readers.names:
            yield from _reading(service, readers.stream, name)
            reset = f"$JS.API.CONSUMER.RESET.{readers.stream}.{name}"
            yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=reset)
    if _requests_of(service):
        yield Grant(owner=service, to=STREAMS_ACCOUNT, subject=SERVICE_DISCOVERY, kind=Kind.MANY_REPLIES)


def _reading(service: str, stream: str, name: str) -> Iterable[Grant]:
    yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=f"$JS.API.CONSUMER.INFO.{stream}.{name}")
    pull = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
    yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=pull, kind=Kind.MANY_REPLIES)


def _discovery_subjects(service: str) -> Iterable[str]:
    name = f"{SERVICE_NAME_PREFIX}{service}"
    for verb in ("PING", "INFO", "STATS"):
        yield from (f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{name}.*")


def _owned_by(service: str, every: Iterable[Reading]) -> Iterable[Reading]:
    return (each for each in every if each.owner == service)


def _streams_of(service: str) -> Iterable[Stream]:
    """Yield the streams that a service publishes to or reads."""
    written = {topic.subject for topic in subjects.TOPICS if topic.owner == service}
    read = {reading.stream for reading in (*subjects.DURABLES, *subjects.READERS) if reading.owner == service}
    return (
        stream for stream in subjects.STREAMS if stream.name in read or written.intersection(stream.subjects)
    )
