"""Who may publish and subscribe to what on the bus: allow-lists per service, as small as they can be.

Each service lives in an account of its own, and the streams in another. Between accounts only what `grants` lists
passes, and an answer goes back into the account that asked. So a reply subject, which the one who asks chooses freely,
never reaches anything that the one who asks could not have published to: not by an owner's answer, not by JetStream's.

Owners come from the contracts; who asks whom stands here, and a test holds this table against the
contracts, so that a new subject without a word on its callers is found at once.
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
"""Who may ask for an answer."""

TOPIC_READERS: dict[str, tuple[str, ...]] = {subjects.AVAILABILITY.subject: (subjects.GATEWAY,)}
"""Who may hear a topic that no stream stores."""

STREAMS_ACCOUNT = "bus"
"""Holds the streams, their consumers, and the administrator. A service's account has the service's name."""

SERVICE_NAME_PREFIX = "cafeteria-"
"""What the chassis puts before a service's name when it registers with the micro protocol."""

ANSWERS = "_R_.>"
"""Where the server takes the answers to what came from another account; it knows each by a secret of its own."""

SERVICE_QUESTIONS = "$SRV.>"
Reading = TypeVar("Reading", Durable, Readers)

STORED = frozenset(subject for stream in subjects.STREAMS for subject in stream.subjects)


class Kind(Enum):
    """How a subject passes: a request with one answer or with many, or a message that nobody answers."""

    ONE_ANSWER = "one answer"
    MANY_ANSWERS = "many answers"
    NO_ANSWER = "no answer"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Users of the account `to` may publish `subject` into the account `owner`, or hear it from there (NO_ANSWER)."""

    owner: str
    to: str
    subject: str
    kind: Kind = Kind.ONE_ANSWER

    @property
    def name(self) -> str:
        """What users of `to` call the subject."""
        return self.subject.replace("$JS.API.", f"{subjects.STREAMS_API}.")


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What a service's user may publish and subscribe to in its account. Sorted."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(user: str) -> str:
    return f"_INBOX_{user}"


def grants() -> tuple[Grant, ...]:
    """Everything that passes from one account to another."""
    return (
        *_between_services(),
        *(grant for service in subjects.SERVICES for grant in _with_streams(service)),
    )


def rights_of(service: str) -> Rights:
    publish = {grant.name for grant in grants() if grant.to == service and grant.kind is not Kind.NO_ANSWER}
    publish |= {topic.subject for topic in subjects.TOPICS if topic.owner == service}
    publish |= {subject for subject, callers in RPC_CALLERS.items() if service in callers}
    subscribe = {f"{inbox_prefix(service)}.>", *_asked(service)}
    subscribe |= {subject for subject, readers in TOPIC_READERS.items() if service in readers}
    if _asked(service):
        publish.add(ANSWERS)
        if any(service in RPC_CALLERS[subject] for subject in _asked(service)):
            publish.add(f"{inbox_prefix(service)}.>")  # it asks itself, too
        subscribe.update(_shows_itself(service))
    return Rights(publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)))


def _asked(service: str) -> tuple[str, ...]:
    return tuple(rpc.subject for rpc in subjects.RPCS if rpc.owner == service)


def _between_services() -> Iterable[Grant]:
    """An owner that asks itself needs no grant: it is in its own account."""
    for rpc in subjects.RPCS:
        for caller in RPC_CALLERS[rpc.subject]:
            if caller != rpc.owner:
                yield Grant(owner=rpc.owner, to=caller, subject=rpc.subject)
    for topic in subjects.TOPICS:
        for reader in TOPIC_READERS.get(topic.subject, ()):
            yield Grant(owner=topic.owner, to=reader, subject=topic.subject, kind=Kind.NO_ANSWER)


def _with_streams(service: str) -> Iterable[Grant]:
    """The service stores, reads and acknowledges; the administrator may ask what runs there."""
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
    if _asked(service):
        yield Grant(owner=service, to=STREAMS_ACCOUNT, subject=SERVICE_QUESTIONS, kind=Kind.MANY_ANSWERS)


def _reading(service: str, stream: str, name: str) -> Iterable[Grant]:
    yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=f"$JS.API.CONSUMER.INFO.{stream}.{name}")
    pull = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
    yield Grant(owner=STREAMS_ACCOUNT, to=service, subject=pull, kind=Kind.MANY_ANSWERS)


def _shows_itself(service: str) -> Iterable[str]:
    name = f"{SERVICE_NAME_PREFIX}{service}"
    for verb in ("PING", "INFO", "STATS"):
        yield from (f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{name}.*")


def _owned_by(service: str, every: Iterable[Reading]) -> Iterable[Reading]:
    return (each for each in every if each.owner == service)


def _streams_of(service: str) -> Iterable[Stream]:
    """The streams that a service writes to or reads."""
    written = {topic.subject for topic in subjects.TOPICS if topic.owner == service}
    read = {reading.stream for reading in (*subjects.DURABLES, *subjects.READERS) if reading.owner == service}
    return (
        stream for stream in subjects.STREAMS if stream.name in read or written.intersection(stream.subjects)
    )
