"""Caps on open connections, in all and by address, and time limits for each step of a client.

A connection that waits for its client is in one queue, oldest first. Once a second the server checks the front of each
queue, and at a cap it closes one of the oldest for a new connection. These checks count the time, so that clients do
not time out because the process itself was stopped for a while.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from itertools import chain, islice, takewhile
from typing import Protocol

from prometheus_client import CollectorRegistry

from cafeteria.chassis.observability import logs, metrics
from cafeteria.chassis.runtime.addresses import client_network
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.chassis.runtime.settings import Network

HEAD_S = 10
"""From the connection, or from a request's first byte, to the end of its headers."""

BODY_S = 30
BODY_GRACE_S = 5
BODY_LEAST_BYTES_PER_S = 240
"""After the grace, on average. Both are Kestrel's defaults."""

KEEP_ALIVE_S = 65
"""Longer than load balancers keep an idle connection, so that the server never closes one during a request."""

UNREAD_S = 30
UNREAD_LEAST_BYTES = 7_200
"""A client must read this much of a waiting answer in UNREAD_S: the least rate of bodies, in the other direction."""

LINGER_S = 2
"""For a client that still sends after its last answer: closing at once would lose the unread answer (RFC 9112, 9.6)."""

REFUSAL_S = 2
REFUSED_AT_ONCE = 128
"""Connections over a cap whose request the server still reads: it may be for health, and closing a connection with
unread bytes would lose the answer."""

CHOICE = 32
"""How many are compared when one must close: a distant client needs a tenth of a second before it can send."""

WARN_EVERY_S = 60

LIMITED = metrics.counter(
    "cafeteria_http_connections_limited_total", "Connections that met a limit of the server", "limit"
)
OPEN = metrics.gauge("cafeteria_http_connections", "Open connections, as of the last second")
_log = logs.get_logger()


_FULL = "This service has as many connections open as it may. Nothing was done: try again in a few seconds."
_ADDRESS_FULL = (
    "Your address has as many connections open to this service as it may. Nothing was done: close some, or try "
    "again in a few seconds."
)
_EVICTED = (
    "This service had to close your connection for a newer one before your request was complete. Nothing was done: "
    "try again in a few seconds."
)


class TooManyConnections(Overloaded):
    def __init__(self, detail: str = _EVICTED) -> None:
        super().__init__(detail, retry_after_s=2)


class Address:
    """One client's address: its connections, oldest first, and how many of them owe all or part of a request."""

    __slots__ = ("connections", "is_capped", "key", "owing")

    def __init__(self, key: str, *, is_capped: bool) -> None:
        self.key, self.is_capped = key, is_capped
        self.connections: dict[Connection, None] = {}
        self.owing = 0


class Connection(Protocol):
    """A connection as the limits see it. Only they set the attributes; over a cap `refusal` is set."""

    queue: "Queue | None"
    address: Address | None
    refusal: TooManyConnections | None

    def peer_host(self) -> str: ...

    def can_be_evicted(self) -> bool:
        """Whether no request of its client is being executed."""

    def evict(self) -> None:
        """End at once, with 503 if a request has begun."""

    def refuse_connection(self) -> None:
        """Answer with `refusal` and end."""

    def time_out(self) -> str | None:
        """End, with 408 if a request has begun. Returns the limit's name, or None for an idle connection."""

    def is_body_late(self, age_s: int) -> bool: ...

    def unsent_bytes(self) -> int: ...

    def abort(self) -> None: ...


Queue = dict[Connection, int]
"""Connections, oldest first, with the tick (see `look`) at which each entered."""


class ConnectionLimits:
    """The limits of one server. At most `total` and `per_address` connections are open; 0 per address is no limit."""

    def __init__(
        self, *, total: int, per_address: int, proxies: Sequence[Network], registry: CollectorRegistry
    ) -> None:
        self._total, self._per_address, self._proxies = total, per_address, proxies
        self._limited, self._open_gauge = LIMITED.metric(registry), OPEN.metric(registry)
        self._addresses: dict[str, Address] = {}
        self._open = 0
        self._excess: set[Connection] = set()
        self._unsent: dict[Connection, tuple[int, int]] = {}
        self._ticks = 0
        self._counts: dict[str, int] = {}
        self._warned_at = -WARN_EVERY_S
        self.heads: Queue = {}
        self.bodies: Queue = {}
        self.idle: Queue = {}
        self.lingering: Queue = {}
        self.turned_away: Queue = {}

    def admit(self, connection: Connection) -> None:
        """Count a new connection and wait for its head; over a cap, prepare to turn it away."""
        address = self._address_of(connection.peer_host())
        connection.refusal = self._refusal_of(address)
        if connection.refusal is None:
            self._open += 1
            address.connections[connection] = None
            connection.address = self._addresses[address.key] = address
            self.wait(connection, self.heads)
        else:
            self._count("turned_away")
            self._excess.add(connection)
            self.wait(connection, self.turned_away)
            if len(self._excess) > REFUSED_AT_ONCE:
                self._refuse_connection(next(iter(self.turned_away)))

    def release(self, connection: Connection) -> None:
        """Free the connection's place for another; a second call does nothing."""
        self.wait(connection, None)
        self._excess.discard(connection)
        address, connection.address = connection.address, None
        if address is not None:
            self._open -= 1
            del address.connections[connection]
            if not address.connections:
                self._addresses.pop(address.key, None)

    def wait(self, connection: Connection, queue: Queue | None) -> None:
        """Move a connection to the end of the queue for its client's next step; None: the server acts next."""
        left, connection.queue = connection.queue, queue
        if left is queue:
            return
        if left is not None:
            del left[connection]
            if left is not self.idle and connection.address is not None:
                connection.address.owing -= 1
        if queue is not None:
            queue[connection] = self._ticks
            if queue is not self.idle and connection.address is not None:
                connection.address.owing += 1

    def watch_unsent(self, connection: Connection) -> None:
        """From now on the client must read its waiting answer."""
        self._unsent[connection] = (self._ticks, connection.unsent_bytes())

    def forget_unsent(self, connection: Connection) -> None:
        self._unsent.pop(connection, None)

    def look(self) -> None:
        """Called once a second, which is a tick: end the connections that took too long."""
        self._ticks += 1
        late = chain(
            self._older_than(HEAD_S, self.heads),
            self._older_than(KEEP_ALIVE_S, self.idle),
            self._late_bodies(),
            self._older_than(LINGER_S, self.lingering),
        )
        for connection in list(late):
            self._count(connection.time_out())
        for connection in list(self._older_than(REFUSAL_S, self.turned_away)):
            self._refuse_connection(connection)
        self._abort_unread()
        self._open_gauge.set(self._open)
        self._warn()

    def _refusal_of(self, address: Address) -> TooManyConnections | None:
        is_full = address.is_capped and len(address.connections) >= self._per_address
        if is_full and not self._close_one_of(self._waiting_of(address)):
            return TooManyConnections(_ADDRESS_FULL)
        if self._open < self._total or self._close_one_of(self._all_waiting()):
            return None
        return TooManyConnections(_FULL)

    def _waiting_of(self, address: Address) -> Iterable[Connection]:
        owing = (
            each for each in address.connections if each.queue is not None and each.queue is not self.idle
        )
        return chain(owing, (each for each in address.connections if each.queue is self.idle))

    def _all_waiting(self) -> Iterable[Connection]:
        return chain(self.lingering, self.heads, self.bodies, self.idle)

    def _close_one_of(self, waiting: Iterable[Connection]) -> bool:
        """Close one of the longest waiting, of the address with most: a flood closes its own connections."""
        able = (connection for connection in waiting if connection.can_be_evicted())
        closing = max(islice(able, CHOICE), key=_owing_of_its_address, default=None)
        if closing is None:
            return False
        self.release(closing)
        closing.evict()
        self._count("gave_way")
        return True

    def _refuse_connection(self, connection: Connection) -> None:
        self.release(connection)
        connection.refuse_connection()

    def _older_than(self, limit_s: int, queue: Queue) -> Iterable[Connection]:
        return takewhile(lambda connection: self._ticks - queue[connection] > limit_s, queue)

    def _late_bodies(self) -> Iterable[Connection]:
        return (each for each, since in self.bodies.items() if each.is_body_late(self._ticks - since))

    def _abort_unread(self) -> None:
        for connection, (since, before) in list(self._unsent.items()):
            if self._ticks - since > UNREAD_S:
                if before - connection.unsent_bytes() < UNREAD_LEAST_BYTES:
                    self._count("answer_unread")
                    connection.abort()
                else:
                    self.watch_unsent(connection)

    def _count(self, limit: str | None) -> None:
        if limit is not None:
            self._limited.labels(limit).inc()
            self._counts[limit] = self._counts.get(limit, 0) + 1

    def _warn(self) -> None:
        """Log once a minute at most, and of the caps alone: slow clients are normal."""
        if self._counts.keys().isdisjoint(("gave_way", "turned_away")):
            self._counts.clear()
        elif self._ticks - self._warned_at >= WARN_EVERY_S:
            most = max(self._addresses.values(), key=lambda each: len(each.connections), default=None)
            _log.warning(
                "connections_limited",
                **self._counts,
                open=self._open,
                limit=self._total,
                limit_per_address=self._per_address,
                busiest_address=most and most.key,
                busiest_address_has=most and len(most.connections),
            )
            self._warned_at = self._ticks
            self._counts.clear()

    def _address_of(self, host: str) -> Address:
        key = client_network(host)
        existing = self._addresses.get(key)
        return existing or Address(key, is_capped=self._per_address > 0 and not self._is_proxy(host))

    def _is_proxy(self, host: str) -> bool:
        with suppress(ValueError):  # a Unix socket has no address
            return any(ip_address(host) in network for network in self._proxies)
        return False


def _owing_of_its_address(connection: Connection) -> int:
    return connection.address.owing if connection.address else 0
