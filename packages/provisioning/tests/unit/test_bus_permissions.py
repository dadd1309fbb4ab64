"""The table of callers against the contracts: a new subject without a word on who may use it is found here."""

from cafeteria.contracts import subjects
from cafeteria.provisioning.bus_permissions import (
    RPC_CALLERS,
    STREAMS_ACCOUNT,
    TOPIC_READERS,
    grants,
    inbox_prefix,
    rights_of,
)

STORED = {subject for stream in subjects.STREAMS for subject in stream.subjects}


def test_every_request_has_callers() -> None:
    assert set(RPC_CALLERS) == {rpc.subject for rpc in subjects.RPCS}
    assert {caller for callers in RPC_CALLERS.values() for caller in callers} <= set(subjects.SERVICES)


def test_every_topic_that_no_stream_stores_has_readers() -> None:
    assert set(TOPIC_READERS) == {topic.subject for topic in subjects.TOPICS} - STORED


def test_a_topic_is_published_by_its_owner_alone() -> None:
    for topic in subjects.TOPICS:
        publishers = [service for service in subjects.SERVICES if topic.subject in rights_of(service).publish]
        assert publishers == [topic.owner]


def test_a_request_is_heard_by_its_owner_alone() -> None:
    for rpc in subjects.RPCS:
        hearers = [service for service in subjects.SERVICES if rpc.subject in rights_of(service).subscribe]
        assert hearers == [rpc.owner]


def test_nobody_but_the_administrator_makes_streams_or_consumers() -> None:
    """A consumer's `deliver_subject` may be any subject, and the server publishes there past all rights."""
    for grant in grants():
        commands = {"CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE"}
        assert not commands.intersection(grant.subject.split("."))
        assert "*" not in grant.subject


def test_what_passes_between_accounts_names_its_owner_and_its_user() -> None:
    passing = [(grant.owner, grant.to, grant.subject) for grant in grants()]
    assert len(passing) == len(set(passing))
    for owner, to, _ in passing:
        assert owner != to
        assert {owner, to} <= {*subjects.SERVICES, STREAMS_ACCOUNT}


def test_a_service_publishes_to_no_inbox_but_its_own() -> None:
    for service in subjects.SERVICES:
        inboxes = {subject for subject in rights_of(service).publish if subject.startswith("_INBOX")}
        assert inboxes <= {f"{inbox_prefix(service)}.>"}


def test_an_acknowledgement_is_its_durables_owners() -> None:
    for durable in subjects.DURABLES:
        ack = f"$JS.ACK.{durable.stream}.{durable.name}.>"
        assert [service for service in subjects.SERVICES if ack in rights_of(service).publish] == [
            durable.owner
        ]


def test_an_inbox_is_its_owners() -> None:
    prefixes = {inbox_prefix(service) for service in subjects.SERVICES}
    assert len(prefixes) == len(subjects.SERVICES)
    for service in subjects.SERVICES:
        inboxes = {subject for subject in rights_of(service).subscribe if subject.startswith("_INBOX")}
        assert inboxes == {f"{inbox_prefix(service)}.>"}
