"""Synthetic status events without orders, published to the stream for benchmarks of notification alone."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import msgspec
from nats.aio.client import Client

from cafeteria.bench.generator import BenchError
from cafeteria.contracts.channels import HEADER_MESSAGE_ID, HEADER_TYPE
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.subjects import GATEWAY_STATUS
from cafeteria.contracts.values import OrderStatus, StatusTime
from cafeteria.provisioning.bus_permissions import inbox_prefix
from cafeteria.provisioning.credentials import ADMIN

BATCH = 500  # one atomic batch holds up to a thousand
ACK_TIMEOUT_S = 10.0


async def publish_events(admin_url: str, students: Sequence[str], count: int) -> None:
    """Publish `count` STOCK_VERIFIED events, one student after another. Raises BenchError if NATS refuses them."""
    address = urlsplit(admin_url)
    client = Client()
    await client.connect(
        f"nats://{address.hostname}:{address.port}",
        user=unquote(address.username or ADMIN),
        password=unquote(address.password or ""),
        inbox_prefix=inbox_prefix(ADMIN).encode(),
    )
    try:
        bodies = [_event(students[number % len(students)]) for number in range(count)]
        for start in range(0, count, BATCH):
            await _publish(client, bodies[start : start + BATCH])
            await asyncio.sleep(0)
    finally:
        await client.close()


def _event(student_id: str) -> bytes:
    now = datetime.now(UTC)
    return msgspec.json.encode(
        OrderStatusChanged(
            order_id=uuid4(),
            student_id=student_id,
            status=OrderStatus.STOCK_VERIFIED,
            version=2,
            at=now,
            earlier=(StatusTime(status=OrderStatus.PENDING, version=1, at=now),),
        )
    )


async def _publish(client: Client, bodies: Sequence[bytes]) -> None:
    batch_id = uuid4().hex
    for number, body in enumerate(bodies, start=1):
        headers = {
            HEADER_MESSAGE_ID: str(uuid4()),
            HEADER_TYPE: GATEWAY_STATUS.type_name,
            "Nats-Batch-Id": batch_id,
            "Nats-Batch-Sequence": str(number),
        }
        if number < len(bodies):
            await client.publish(GATEWAY_STATUS.subject, body, headers=headers)
            continue
        headers["Nats-Batch-Commit"] = "1"
        answer = await client.request(GATEWAY_STATUS.subject, body, timeout=ACK_TIMEOUT_S, headers=headers)
        if b'"error"' in answer.data:
            raise BenchError(f"NATS refused the events: {answer.data.decode()}")
