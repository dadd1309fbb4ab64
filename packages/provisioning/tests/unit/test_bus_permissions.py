"""Every subject of the contracts has its callers or subscribers in the table of permissions."""

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


def test_every_topic_that_no_stream_stores_has_subscribers() -> None:
    assert set(TOPIC_READERS) == {topic.subject for topic in subjects.TOPICS} - STORED


def test_only_its_owner_may_publish_a_topic() -> None:
    for topic in subjects.TOPICS:
        publishers = [service for service in subjects.SERVICES if topic.subject in rights_of(service).publish]
        assert publishers == [topic.owner]


def test_only_its_owner_may_subscribe_to_a_request() -> None:
    for rpc in subjects.RPCS:
        subscribers = [
            service for service in subjects.SERVICES if rpc.subject in rights_of(service).subscribe
        ]
        assert subscribers == [rpc.owner]


def test_only_the_administrator_may_create_streams_or_consumers() -> None:
    """A consumer's `deliver_subject` may be any subject, and the server publishes there without checking rights."""
    for grant in grants():
        commands = {"CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE"}
        assert not commands.intersection(grant.subject.split("."))
        assert "*" not in grant.subject


def test_a_grant_between_accounts_names_its_owner_and_its_user_once() -> None:
    passing = [(grant.owner, grant.to, grant.subject) for grant in grants()]
    assert len(passing) == len(set(passing))
    for owner, to, _ in passing:
        assert owner != to
        assert {owner, to} <= {*subjects.SERVICES, STREAMS_ACCOUNT}


def test_a_service_may_publish_to_no_inbox_but_its_own() -> None:
    for service in subjects.SERVICES:
        inboxes = {subject for subject in rights_of(service).publish if subject.startswith("_INBOX")}
        assert inboxes <= {f"{inbox_prefix(service)}.>"}


def test_only_a_durables_owner_may_acknowledge_its_messages() -> None:
    for durable in subjects.DURABLES:
        ack = f"$JS.ACK.{durable.stream}.{durable.name}.>"
        assert [service for service in subjects.SERVICES if ack in rights_of(service).publish] == [
            durable.owner
        ]


def test_a_service_may_subscribe_to_its_own_inbox_only() -> None:
    prefixes = {inbox_prefix(service) for service in subjects.SERVICES}
    assert len(prefixes) == len(subjects.SERVICES)
    for service in subjects.SERVICES:
        inboxes = {subject for subject in rights_of(service).subscribe if subject.startswith("_INBOX")}
        assert inboxes == {f"{inbox_prefix(service)}.>"}
