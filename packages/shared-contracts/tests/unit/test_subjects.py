"""Every subject has one owner, every name one meaning, and every durable filters a subject of its stream."""

from collections import Counter

import msgspec
import pytest

from cafeteria.contracts import channels, problems, subjects
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.values import OrderStatus

STREAMS = {stream.name: stream for stream in subjects.STREAMS}
TOPICS = {topic.subject: topic for topic in subjects.TOPICS}
RPCS_AND_TOPICS: list[channels.Rpc | channels.Topic] = [*subjects.RPCS, *subjects.TOPICS]


def declared(kind: type[msgspec.Struct]) -> list[msgspec.Struct]:
    return [value for value in vars(subjects).values() if isinstance(value, kind)]


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        (channels.Rpc, subjects.RPCS),
        (channels.Topic, subjects.TOPICS),
        (channels.Stream, subjects.STREAMS),
        (channels.Durable, subjects.DURABLES),
    ],
)
def test_every_declaration_is_listed_once(
    kind: type[msgspec.Struct], listed: tuple[msgspec.Struct, ...]
) -> None:
    assert sorted(map(repr, declared(kind))) == sorted(map(repr, listed))


def test_a_subject_has_exactly_one_owner() -> None:
    counts = Counter(entry.subject for entry in RPCS_AND_TOPICS)
    assert max(counts.values()) == 1
    owners = {entry.owner for entry in RPCS_AND_TOPICS} | {durable.owner for durable in subjects.DURABLES}
    assert owners <= set(subjects.SERVICES)


@pytest.mark.parametrize("rpc", subjects.RPCS, ids=lambda rpc: rpc.subject)
def test_a_request_goes_to_its_owners_subject(rpc: channels.Rpc) -> None:
    assert rpc.subject.startswith(f"{rpc.owner}.rpc.v1.")


def test_a_subject_has_plain_characters_only() -> None:
    """Without wildcards an allow-list and a stream name each subject exactly."""
    for entry in RPCS_AND_TOPICS:
        assert set(entry.subject) <= set("abcdefghijklmnopqrstuvwxyz0123456789.")


def test_a_subject_is_stored_by_one_stream_at_most() -> None:
    counts = Counter(subject for stream in subjects.STREAMS for subject in stream.subjects)
    assert max(counts.values()) == 1


@pytest.mark.parametrize("stream", subjects.STREAMS, ids=lambda stream: stream.name)
def test_the_subjects_of_a_stream_are_declared_topics(stream: channels.Stream) -> None:
    assert set(stream.subjects) <= set(TOPICS)


@pytest.mark.parametrize("durable", subjects.DURABLES, ids=lambda durable: durable.name)
def test_a_durables_filter_is_a_subject_of_its_stream(durable: channels.Durable) -> None:
    assert durable.filter_subject in STREAMS[durable.stream].subjects


def test_a_durables_name_is_unique_in_its_stream() -> None:
    assert max(Counter((durable.stream, durable.name) for durable in subjects.DURABLES).values()) == 1


def test_no_service_consumes_its_own_topic() -> None:
    for durable in subjects.DURABLES:
        assert TOPICS[durable.filter_subject].owner != durable.owner


def test_a_type_name_means_one_message_and_a_message_has_one_type_name() -> None:
    pairs = {(topic.type_name, topic.body) for topic in subjects.TOPICS}
    assert len(pairs) == len({name for name, _ in pairs}) == len({body for _, body in pairs})


def test_equal_requests_have_equal_replies() -> None:
    """If two subjects have the same request type, they have the same reply type."""
    for rpc in subjects.RPCS:
        assert {other.reply for other in subjects.RPCS if other.request is rpc.request} == {rpc.reply}


def test_every_service_has_a_port_of_its_own() -> None:
    assert set(subjects.PORT_OFFSETS) == set(subjects.SERVICES)
    assert sorted(subjects.PORT_OFFSETS.values()) == list(range(len(subjects.SERVICES)))


def test_a_tickets_states_are_states_of_the_order_except_queued() -> None:
    names = {status.value for status in TicketStatus} - {TicketStatus.QUEUED.value}
    assert names <= {status.value for status in OrderStatus}


@pytest.mark.parametrize("code", problems.ProblemCode)
def test_a_problems_type_is_a_path_with_a_plain_code(code: problems.ProblemCode) -> None:
    assert problems.problem_type(code) == f"/problems/{code.value}"
    assert set(code.value) <= set("abcdefghijklmnopqrstuvwxyz-")
