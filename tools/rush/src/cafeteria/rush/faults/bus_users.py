"""Misuse of a service's stolen credentials: all that the server accepts with them, except the service's own work.

The fault writes raw bytes, because no client library sends such messages. None of it may have an effect elsewhere: no
stream changes, no other service receives it, and the owners of the subjects keep answering.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from cafeteria.contracts.subjects import DURABLES, RPCS, SERVICES, STREAMS, STREAMS_API
from cafeteria.faultkit.cluster import Cluster
from cafeteria.provisioning.bus_permissions import RPC_CALLERS, inbox_prefix, rights_of
from cafeteria.provisioning.credentials import Credentials
from cafeteria.rush.faults.fault import Fault

FAMILY = "misuse"
MESSAGES = (50, 200)
ANSWER_WITHIN_S = 20.0
COMMANDS_SHARE = 0.2  # the others are requests that the user may send

BODIES = (
    b"",
    b"{",
    b"null",
    b"\xff\xfe",
    b'{"items": "\xed\xa0\x80"}',
    b"[" * 50_000,
    b'{"orders": [{"order_id": "' + b"x" * 100_000 + b'"}]}',
)
HEADERS = (
    None,
    b"junk",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0\r\ntraceparent: \xff\r\nCafeteria-Sender: \x00\r\n\r\n",
)


class Bus(Protocol):
    """The server's address and its users' credentials."""

    @property
    def nats_url(self) -> str: ...

    @property
    def credentials(self) -> Credentials: ...


class CredentialsMisused(Fault):
    """Requests with foreign reply subjects, with none, or with invalid bytes; and commands to the streams."""

    name = "credentials-misused"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        user = chance.choice(SERVICES)
        count = chance.randint(*MESSAGES)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await misuse(cluster.stack.servers, user, chance, messages=count)
        return f"{count} messages as {user}"


async def misuse(bus: Bus, user: str, chance: random.Random, *, messages: int) -> None:
    """Send `messages` as `user`, and return when the server has read them. Raises OSError while it is down."""
    async with _connected(bus, user) as (reader, writer):
        for _ in range(messages):
            writer.write(_frame(user, chance))
        writer.write(b"PING\r\n")
        while (line := await reader.readline()) != b"PONG\r\n":
            if not line:
                raise ConnectionResetError(f"the server disconnected {user}")


def _frame(user: str, chance: random.Random) -> bytes:
    subject = chance.choice(_commands() if chance.random() < COMMANDS_SHARE else _asked_by(user))
    reply = chance.choice((b"", b"\xff\xfe", *(each.encode() for each in foreign_replies(user))))
    body, headers = chance.choice(BODIES), chance.choice(HEADERS)
    where = b" ".join(word for word in (subject.encode(), reply) if word)
    if headers is None:
        return b"PUB %b %d\r\n%b\r\n" % (where, len(body), body)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (where, len(headers), len(headers) + len(body), headers, body)


def _asked_by(user: str) -> list[str]:
    """Return the subjects on which `user` may send requests, without those that take messages from its processes."""
    asked = [rpc.subject for rpc in RPCS if user in RPC_CALLERS[rpc.subject]]
    return asked + [subject for subject in rights_of(user).publish if ".STREAM.INFO." in subject]


def _commands() -> list[str]:
    """Return subjects on which only the administrator may publish."""
    return [
        f"{api}.STREAM.{verb}.{stream.name}"
        for api in ("$JS.API", STREAMS_API)
        for verb in ("DELETE", "PURGE", "UPDATE")
        for stream in STREAMS
    ]


def foreign_replies(user: str) -> list[str]:
    """Return subjects to which no reply for `user` may be sent."""
    others = [f"{inbox_prefix(each)}.x" for each in (*SERVICES, "admin", "bootstrap") if each != user]
    durables = [f"$JS.API.CONSUMER.DELETE.{durable.stream}.{durable.name}" for durable in DURABLES]
    stored = [subject for stream in STREAMS for subject in stream.subjects]
    subjects = [*others, "_INBOX.x", *durables, *stored, *_commands(), *(rpc.subject for rpc in RPCS)]
    return [subject for subject in subjects if subject not in rights_of(user).publish]


@asynccontextmanager
async def _connected(bus: Bus, user: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(bus.nats_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    login = {"user": user, "pass": bus.credentials.nats_password(user), "headers": True, "verbose": False}
    writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


BUS_USERS: tuple[Fault, ...] = (CredentialsMisused(),)
