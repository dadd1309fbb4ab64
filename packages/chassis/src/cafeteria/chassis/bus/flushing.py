"""What was said before `flushed` has reached the server when it returns.

nats-py sends the ping of its `flush` ahead of what it still has buffered, so the answer to one ping proves
nothing; while it is awaited the buffer goes out, and a second ping follows it for certain.
"""

from nats.aio.client import Client


async def flushed(client: Client) -> None:
    """Raises what nats-py raises when the server does not answer."""
    await client.flush()
    await client.flush()
