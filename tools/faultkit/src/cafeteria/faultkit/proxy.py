"""A TCP proxy between one service and one server that can simulate a bad network.

It delays, cuts, resets or drops bytes, in one direction or both. It parses them only to drop single messages to NATS.
Without a fault it forwards every chunk unchanged.
"""

import random
from collections.abc import Iterator

import msgspec

from cafeteria.faultkit.nats_frames import NatsFrames
from cafeteria.faultkit.tcp_proxy import Connection, Direction, End, TcpProxy


class NetworkFaults(msgspec.Struct, frozen=True, kw_only=True):
    """The network faults that the proxy simulates.

    `latency_ms` and `jitter_ms` delay each chunk and keep the order; directions in `lost` drop every byte while the
    connection stays open; `cut_after_bytes` breaks each connection after so many bytes, counted from when this setting
    changed, also in the middle of a message. A message to NATS whose subject begins with `lost_subject` is dropped
    whole, on connections that were opened under this setting.
    """

    latency_ms: float = 0
    jitter_ms: float = 0
    lost: frozenset[Direction] = frozenset()
    cut_after_bytes: int | None = None
    lost_subject: str = ""


NO_NETWORK_FAULTS = NetworkFaults()


class Proxy(TcpProxy["_FaultyConnection"]):
    """A proxy whose simulated faults may change at any time."""

    def __init__(self, *, host: str, port: int, chance: random.Random) -> None:
        super().__init__(lambda: _FaultyConnection(self))
        self.upstream = (host, port)
        self.chance = chance
        self._faults = NO_NETWORK_FAULTS
        self.lost_messages = 0

    @property
    def connections(self) -> int:
        return len(self.open)

    @property
    def faults(self) -> NetworkFaults:
        return self._faults

    @faults.setter
    def faults(self, faults: NetworkFaults) -> None:
        """Set the faults; a connection that lost bytes is reset when the loss ends: TCP never continues after a gap."""
        self._faults = faults
        for connection in list(self.open):
            if connection.holes and not faults.lost:
                connection.reset()
            connection.carried_bytes = 0

    def half_open_all(self) -> None:
        """Close the servers' ends without telling the service: its connections look open and get no answer."""
        for connection in list(self.open):
            connection.lose_server()


class _FaultyConnection(Connection):
    def __init__(self, proxy: Proxy) -> None:
        super().__init__(proxy.upstream)
        self.carried_bytes = 0
        self.holes: set[Direction] = set()
        self._proxy = proxy
        self._frames = NatsFrames() if proxy.faults.lost_subject else None
        self._is_abandoned = False

    def carry(self, chunk: bytes, direction: Direction) -> None:
        """Forward one chunk in `direction`, with the delay, loss or cut that applies."""
        faults = self._proxy.faults
        if self._is_abandoned or direction in faults.lost or direction in self.holes:
            self.holes.add(direction)
            return
        if direction is Direction.REQUESTS and self._frames is not None:
            chunk = b"".join(self._not_lost(self._frames, chunk))
        share = self._share_before_cut(chunk, faults)
        delay_s = (faults.latency_ms + self._proxy.chance.random() * faults.jitter_ms) / 1000
        self.sink(direction).send(share, delay_s=delay_s)
        if len(share) < len(chunk):
            self.close()

    def _not_lost(self, frames: NatsFrames, chunk: bytes) -> Iterator[bytes]:
        """Yield the messages that `chunk` completes, without those to drop."""
        lost = self._proxy.faults.lost_subject
        for frame in frames.feed(chunk):
            if lost and frame.subject.startswith(lost):
                self._proxy.lost_messages += 1
            else:
                yield frame.raw

    def _share_before_cut(self, chunk: bytes, faults: NetworkFaults) -> bytes:
        """Return the part of `chunk` before the cut; the remainder, and all that follows, is dropped."""
        before = self.carried_bytes
        self.carried_bytes += len(chunk)
        if faults.cut_after_bytes is None or self.carried_bytes <= faults.cut_after_bytes:
            return chunk
        return chunk[: max(0, faults.cut_after_bytes - before)]

    def lose_server(self) -> None:
        self._is_abandoned = True
        self.server.abort()

    def ended(self, end: End) -> None:
        """Close the other end too, unless the connection is half-open on purpose."""
        if end is self.server and self._is_abandoned:
            return
        super().ended(end)
