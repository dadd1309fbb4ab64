"""No reply reaches a subject that its caller may not publish to, whatever reply subject the caller chooses.

The tests try every caller, the replies of every owner and of JetStream, and every kind of foreign subject on a real
server.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from nats.aio.msg import Msg

from cafeteria.chassis.messaging.nats_client import BusClient
from cafeteria.contracts import subjects
from cafeteria.provisioning.bus_permissions import RPC_CALLERS, inbox_prefix, rights_of
from cafeteria.testkit.servers import FixtureServers

STORED_SUBJECTS = tuple(subject for stream in subjects.STREAMS for subject in stream.subjects)


class BusRecorder:
    """Subscribes as every user to all that the user may receive, and records the messages."""

    def __init__(self) -> None:
        self.clients: dict[str, BusClient] = {}
        self.received: list[tuple[str, str, bytes]] = []

    async def start(self, servers: FixtureServers, open_clients: AsyncExitStack) -> None:
        for user in (*subjects.SERVICES, "admin"):
            client = self.clients[user] = await open_clients.enter_async_context(servers.bus_as(user))
            for subject in self._subjects_of(user):
                await client.subscribe(subject, cb=self._callback(user))
            await client.flush_all()

    def _subjects_of(self, user: str) -> tuple[str, ...]:
        if user == "admin":
            return (
                "_INBOX.>",
                "_INBOX_bootstrap.>",
                f"{inbox_prefix('admin')}.abc",
            )  # not the replies to its own requests
        own = {rpc.subject for rpc in subjects.RPCS if rpc.owner == user}
        return tuple(subject for subject in rights_of(user).subscribe if subject not in own)

    def _callback(self, user: str) -> Callable[[Msg], Awaitable[None]]:
        async def record(message: Msg) -> None:
            self.received.append((user, message.subject, message.data))

        return record


@pytest.fixture
async def recorder(servers: FixtureServers, clean: None) -> AsyncIterator[BusRecorder]:
    async with AsyncExitStack() as open_clients, servers.without_identity():
        recorder = BusRecorder()
        await recorder.start(servers, open_clients)
        yield recorder


def foreign_subjects(caller: str) -> list[str]:
    """Return the subjects that no reply may reach: other users' subjects, stored ones, commands to JetStream."""
    others = [service for service in (*subjects.SERVICES, "admin") if service != caller]
    found = [
        *(f"{inbox_prefix(other)}.abc" for other in others),
        *("_INBOX.abc", "_INBOX_bootstrap.abc", "$SRV.PING"),
        *(subjects.AVAILABILITY.subject, subjects.SESSIONS_REVOKED.subject),
        *(rpc.subject for rpc in subjects.RPCS),
        *STORED_SUBJECTS,
    ]
    for stream in subjects.STREAMS:
        for api in ("$JS.API", subjects.STREAMS_API):
            found += [f"{api}.STREAM.{verb}.{stream.name}" for verb in ("DELETE", "PURGE", "UPDATE")]
    for durable in subjects.DURABLES:
        found.append(f"$JS.API.CONSUMER.DELETE.{durable.stream}.{durable.name}")
    return [subject for subject in found if subject not in rights_of(caller).publish]


async def state_of_streams(admin: BusClient) -> dict[str, tuple[str, int, int]]:
    states = {}
    for stream in subjects.STREAMS:
        info = json.loads((await admin.request(f"$JS.API.STREAM.INFO.{stream.name}", timeout=10)).data)
        states[stream.name] = (info["created"], info["state"]["last_seq"], info["state"]["messages"])
    return states


@pytest.mark.parametrize("caller", subjects.SERVICES)
async def test_an_owners_reply_reaches_only_subjects_that_its_caller_may_reach(
    recorder: BusRecorder, caller: str
) -> None:
    """The owner replies without a body, which JetStream would accept as a command."""
    requested: list[str] = []

    async def answer(message: Msg) -> None:
        requested.append(message.subject)
        await message.respond(b"")

    mine = [rpc for rpc in subjects.RPCS if caller in RPC_CALLERS[rpc.subject]]
    for rpc in mine:
        await recorder.clients[rpc.owner].subscribe(rpc.subject, cb=answer)
        await recorder.clients[rpc.owner].flush_all()
    before = await state_of_streams(recorder.clients["admin"])
    client = recorder.clients[caller]
    forbidden = foreign_subjects(caller)
    for rpc in mine:
        for subject in forbidden:
            await client.publish(rpc.subject, b"{}", reply=subject)
        assert (await client.request(rpc.subject, b"{}", timeout=10)).data == b""
    await settled(recorder, caller)
    assert len(requested) >= len(mine) * len(forbidden)
    assert await state_of_streams(recorder.clients["admin"]) == before
    assert received_by_others(recorder, caller) == []


@pytest.mark.parametrize("caller", [subjects.GATEWAY, subjects.KITCHEN, subjects.NOTIFICATION])
async def test_a_jetstream_reply_reaches_only_subjects_that_its_caller_may_reach(
    recorder: BusRecorder, caller: str
) -> None:
    """Replies of the API, acknowledgements, and delivered messages."""
    admin, client = recorder.clients["admin"], recorder.clients[caller]
    for subject in STORED_SUBJECTS:
        await admin.jetstream().publish(subject, b"")
    requests = {
        subject: b'{"batch": 100, "no_wait": true}' if ".MSG.NEXT." in subject else b""
        for subject in rights_of(caller).publish
        if subject.startswith(subjects.STREAMS_API)
    }
    before = await state_of_streams(admin)
    for request, body in requests.items():
        for subject in foreign_subjects(caller):
            await client.publish(request, body, reply=subject)
        if ".ACK." not in request:  # JetStream replies to nothing but a wildcard there
            await client.request(request, body, timeout=10)  # its reply follows those to the foreign subjects
    await settled(recorder, caller)
    assert requests
    assert await state_of_streams(admin) == before
    assert received_by_others(recorder, caller) == []


@pytest.mark.parametrize("publisher", [subjects.GATEWAY, subjects.KITCHEN])
async def test_a_publish_acknowledgement_reaches_only_subjects_that_its_publisher_may_reach(
    recorder: BusRecorder, publisher: str
) -> None:
    admin, client = recorder.clients["admin"], recorder.clients[publisher]
    stored_subjects = {subject for stream in subjects.STREAMS for subject in stream.subjects}
    mine = [topic.subject for topic in subjects.TOPICS if topic.owner == publisher]
    mine = [
        subject for subject in mine if subject in stored_subjects
    ]  # the others are acknowledged by nobody
    forbidden = foreign_subjects(publisher)
    before = await state_of_streams(admin)
    for topic in mine:
        for subject in forbidden:
            await client.publish(topic, b"", reply=subject)
        await client.jetstream().publish(topic, b"")  # a stream stores and acknowledges in order
    await settled(recorder, publisher)
    after = await state_of_streams(admin)
    stored = sum(after[name][1] - before[name][1] for name in after)
    assert stored == len(mine) * (len(forbidden) + 1)
    assert {name: state[0] for name, state in after.items()} == {name: s[0] for name, s in before.items()}
    assert received_by_others(recorder, publisher) == []


async def test_a_request_leaves_no_reply_state_in_the_server(
    servers: FixtureServers, clean: None, wait_until: Any
) -> None:
    """The server keeps state for each open request; a reader opens one after another for months."""
    from cafeteria.chassis.messaging.pull_requests import PullRequests  # noqa: PLC0415

    async with servers.bus_as(subjects.NOTIFICATION) as client, servers.bus_as("admin") as admin:
        got: list[Msg] = []
        names = subjects.NOTIFICATION_READERS
        requests = PullRequests(
            client, names.stream, names.names[-1], on_message=got.append, on_failure=lambda _: None
        )
        await admin.jetstream().stream_info(names.stream)  # from now on the client has its inbox for replies
        tasks = len(asyncio.all_tasks())
        for number in range(50):
            await requests.ask()
            await admin.jetstream().publish(subjects.GATEWAY_STATUS.subject, b"")
            await wait_until(lambda number=number: len(got) == number + 1)
            requests.release(got[-1].data)
        assert inboxes_of(client) == 1
        assert len(asyncio.all_tasks()) <= tasks + 1
        await requests.close()
        assert inboxes_of(client) == 0
        await wait_until(lambda: len(asyncio.all_tasks()) <= tasks)  # the tasks of the inboxes are cancelled


def inboxes_of(client: BusClient) -> int:
    """Count the inboxes of pulls; all requests share one other inbox."""
    subjects = [subscription.subject for subscription in client._subs.values()]
    return sum(subject.startswith("_INBOX") and "*" not in subject for subject in subjects)


async def settled(recorder: BusRecorder, caller: str) -> None:
    """Return once the server has replied to all published messages and delivered the replies."""
    for _ in range(2):
        for client in (recorder.clients[caller], *recorder.clients.values()):
            await client.flush_all()


def received_by_others(recorder: BusRecorder, caller: str) -> list[tuple[str, str, bytes]]:
    return [each for each in recorder.received if each[0] != caller]
