"""A reply subject is chosen by the one who asks. Whatever it is, an answer reaches nothing that the asker may not reach.

Every caller, every owner's and JetStream's own answers, every kind of foreign subject: tried on a real server.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from nats.aio.msg import Msg

from cafeteria.chassis.messaging.nats_client import BusClient
from cafeteria.contracts import subjects
from cafeteria.provisioning.bus_permissions import RPC_CALLERS, inbox_prefix, rights_of
from cafeteria.testkit.servers import FixtureServers

STORED_SUBJECTS = tuple(subject for stream in subjects.STREAMS for subject in stream.subjects)


class Witness:
    """Hears, as every user, all that this user may hear, and remembers what came where."""

    def __init__(self) -> None:
        self.clients: dict[str, BusClient] = {}
        self.heard: list[tuple[str, str, bytes]] = []

    async def enter(self, servers: FixtureServers, running: AsyncExitStack) -> None:
        for user in (*subjects.SERVICES, "admin"):
            client = self.clients[user] = await running.enter_async_context(servers.bus_as(user))
            for subject in self._hears(user):
                await client.subscribe(subject, cb=self._noter(user))
            await client.flush_all()

    def _hears(self, user: str) -> tuple[str, ...]:
        if user == "admin":
            return ("_INBOX.>", "_INBOX_bootstrap.>", f"{inbox_prefix('admin')}.abc")  # not its own answers
        mine = {rpc.subject for rpc in subjects.RPCS if rpc.owner == user}
        return tuple(subject for subject in rights_of(user).subscribe if subject not in mine)

    def _noter(self, user: str) -> Any:
        async def note(message: Msg) -> None:
            self.heard.append((user, message.subject, message.data))

        return note


@pytest.fixture
async def witness(servers: FixtureServers, clean: None) -> Any:
    async with AsyncExitStack() as running, servers.without_identity():
        witness = Witness()
        await witness.enter(servers, running)
        yield witness


def foreign_subjects(caller: str) -> list[str]:
    """Everything that an answer must not reach: what others hear, what is stored, what commands the streams."""
    others = [service for service in (*subjects.SERVICES, "admin") if service != caller]
    found = [
        *(f"{inbox_prefix(other)}.abc" for other in others),
        *("_INBOX.abc", "_INBOX_bootstrap.abc", "$SRV.PING", subjects.AVAILABILITY.subject),
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
async def test_an_owners_answer_reaches_only_what_its_caller_may_reach(witness: Witness, caller: str) -> None:
    """The owner answers with no body at all, which JetStream would take for a command."""
    asked: list[str] = []

    async def answer(message: Msg) -> None:
        asked.append(message.subject)
        await message.respond(b"")

    mine = [rpc for rpc in subjects.RPCS if caller in RPC_CALLERS[rpc.subject]]
    for rpc in mine:
        await witness.clients[rpc.owner].subscribe(rpc.subject, cb=answer)
        await witness.clients[rpc.owner].flush_all()
    before = await state_of_streams(witness.clients["admin"])
    client = witness.clients[caller]
    forbidden = foreign_subjects(caller)
    for rpc in mine:
        for subject in forbidden:
            await client.publish(rpc.subject, b"{}", reply=subject)
        assert (await client.request(rpc.subject, b"{}", timeout=10)).data == b""
    await settled(witness, caller)
    assert len(asked) >= len(mine) * len(forbidden)
    assert await state_of_streams(witness.clients["admin"]) == before
    assert heard_by_others(witness, caller) == []


@pytest.mark.parametrize("caller", [subjects.GATEWAY, subjects.KITCHEN, subjects.NOTIFICATION])
async def test_what_jetstream_answers_reaches_only_what_its_caller_may_reach(
    witness: Witness, caller: str
) -> None:
    """Its answers, its acknowledgements, and the messages that it delivers."""
    admin, client = witness.clients["admin"], witness.clients[caller]
    for subject in STORED_SUBJECTS:
        await admin.jetstream().publish(subject, b"")
    questions = {
        subject: b'{"batch": 100, "no_wait": true}' if ".MSG.NEXT." in subject else b""
        for subject in rights_of(caller).publish
        if subject.startswith(subjects.STREAMS_API)
    }
    before = await state_of_streams(admin)
    for question, body in questions.items():
        for subject in foreign_subjects(caller):
            await client.publish(question, body, reply=subject)
    await settled(witness, caller)
    assert questions
    assert await state_of_streams(admin) == before
    assert heard_by_others(witness, caller) == []


@pytest.mark.parametrize("publisher", [subjects.GATEWAY, subjects.KITCHEN])
async def test_an_acknowledgement_of_storing_reaches_only_what_its_publisher_may_reach(
    witness: Witness, publisher: str
) -> None:
    admin, client = witness.clients["admin"], witness.clients[publisher]
    mine = [topic.subject for topic in subjects.TOPICS if topic.owner == publisher]
    forbidden = foreign_subjects(publisher)
    before = await state_of_streams(admin)
    for topic in mine:
        for subject in forbidden:
            await client.publish(topic, b"", reply=subject)
        await client.jetstream().publish(topic, b"")  # a stream stores and acknowledges in order
    await settled(witness, publisher)
    after = await state_of_streams(admin)
    stored = sum(after[name][1] - before[name][1] for name in after)
    assert stored == len(mine) * (len(forbidden) + 1)
    assert {name: state[0] for name, state in after.items()} == {name: s[0] for name, s in before.items()}
    assert heard_by_others(witness, publisher) == []


async def test_a_place_for_answers_lasts_no_longer_than_its_request(
    servers: FixtureServers, clean: None, wait_until: Any
) -> None:
    """The server keeps one for each request that is open; a reader opens one after the other, for months."""
    from cafeteria.chassis.messaging.pull_requests import PullRequests  # noqa: PLC0415

    async with servers.bus_as(subjects.NOTIFICATION) as client, servers.bus_as("admin") as admin:
        got: list[Msg] = []
        names = subjects.NOTIFICATION_READERS
        requests = PullRequests(
            client, names.stream, names.names[-1], on_message=got.append, on_trouble=lambda _: None
        )
        await admin.jetstream().stream_info(names.stream)  # from now on it listens for answers
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
        await wait_until(lambda: len(asyncio.all_tasks()) <= tasks)  # those of the inboxes are cancelled


def inboxes_of(client: BusClient) -> int:
    """Of pulls; that of requests is one for all."""
    subjects = [subscription.subject for subscription in client._subs.values()]
    return sum(subject.startswith("_INBOX") and "*" not in subject for subject in subjects)


async def settled(witness: Witness, caller: str) -> None:
    """What was published has been answered, and the answers have been delivered."""
    for _ in range(2):
        for client in (witness.clients[caller], *witness.clients.values()):
            await client.flush_all()
        await asyncio.sleep(0.1)


def heard_by_others(witness: Witness, caller: str) -> list[tuple[str, str, bytes]]:
    return [each for each in witness.heard if each[0] != caller]
