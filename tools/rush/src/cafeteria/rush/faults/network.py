"""Network faults between service processes and a server: latency, cuts, resets, half-open connections, lost bytes.

Healing ends the simulated faults. A connection that lost bytes is then reset, as TCP would; one that is half-open
stays so, and its service has to notice by itself.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from cafeteria.contracts.subjects import DURABLES, GATEWAY, KITCHEN, NOTIFICATION, SERVICES, STOCK
from cafeteria.faultkit.cluster import NATS, SERVERS, Cluster
from cafeteria.faultkit.proxy import NO_NETWORK_FAULTS, NetworkFaults, Proxy
from cafeteria.faultkit.tcp_proxy import Direction
from cafeteria.rush.faults.fault import Fault, named

FAMILY = "network"
LASTS_S = (1.0, 6.0)
LATENCY_MS = (20.0, 400.0)
JITTER_MS = (50.0, 800.0)
CUT_AFTER_BYTES = (0, 3_000)
"""The range reaches from before the first byte to the middle of a batch."""
ACKS_LOST_S = (3.0, 8.0)
"""The range reaches from below to above the time that the server waits for an acknowledgement."""
ACKNOWLEDGEMENT = "$JS.ACK."
HITS = (1, 6)
HIT_EVERY_S = (0.1, 1.0)

CONSUMERS = tuple(dict.fromkeys(durable.owner for durable in DURABLES))
BUSY = (GATEWAY, STOCK, KITCHEN, NOTIFICATION)
"""Services that are hit more often than identity, which students need only occasionally."""

Make = Callable[[random.Random], NetworkFaults]


@dataclass(frozen=True, kw_only=True)
class Where:
    """The connections that one fault affects."""

    text: str
    proxies: list[Proxy]


def somewhere(cluster: Cluster, chance: random.Random, *, server: str) -> Where:
    """Draw the connections to a server: those of one process, of all processes of a service, or of all services."""
    processes = cluster.processes(chance.choice((*BUSY, *BUSY, *SERVICES)))
    processes = chance.choice(([chance.choice(processes)], processes, cluster.all_processes))
    text = "all processes" if processes == cluster.all_processes else named(processes)
    return Where(text=text, proxies=[cluster.proxies[process, server] for process in processes])


@dataclass(frozen=True, kw_only=True)
class BadNetwork:
    """For some seconds the network has the faults that `make` draws."""

    name: str
    server: str
    make: Make
    family: str = FAMILY
    weight: float = 0.7

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        where = somewhere(cluster, chance, server=self.server)
        for_s = chance.uniform(*LASTS_S)
        faults = self.make(chance)
        for proxy in where.proxies:
            proxy.faults = faults
        try:
            await asyncio.sleep(for_s)
        finally:
            for proxy in where.proxies:
                proxy.faults = NO_NETWORK_FAULTS
        return f"{where.text} for {for_s:.1f} s: {_described(faults)}"


@dataclass(frozen=True, kw_only=True)
class Break:
    """Connections are broken again and again, in one of three ways."""

    name: str
    server: str
    how: str
    family: str = FAMILY
    weight: float = 0.7

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        where = somewhere(cluster, chance, server=self.server)
        broken = 0
        for _ in range(chance.randint(*HITS)):
            for proxy in where.proxies:
                broken += proxy.connections
                self._break(proxy, chance)
            await asyncio.sleep(chance.uniform(*HIT_EVERY_S))
        for proxy in where.proxies:
            proxy.faults = NO_NETWORK_FAULTS
        return f"{broken} connections of {where.text}"

    def _break(self, proxy: Proxy, chance: random.Random) -> None:
        if self.how == "reset":
            proxy.reset_all()
        elif self.how == "half-open":
            proxy.half_open_all()
        else:
            proxy.faults = NetworkFaults(cut_after_bytes=chance.randint(*CUT_AFTER_BYTES))


@dataclass(frozen=True, kw_only=True)
class AcknowledgementsLost:
    """A consumer's acknowledgements are lost after its commits, so the bus delivers whole messages again.

    Its connections are reset first, so that the proxy parses each message to the bus from the first byte on.
    """

    name: str = "nats-acks-lost"
    family: str = FAMILY
    weight: float = 0.7

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        processes = cluster.processes(chance.choice(CONSUMERS))
        proxies = [cluster.proxies[process, NATS] for process in processes]
        for_s, before = chance.uniform(*ACKS_LOST_S), sum(proxy.lost_messages for proxy in proxies)
        for proxy in proxies:
            proxy.faults = NetworkFaults(lost_subject=ACKNOWLEDGEMENT)
            proxy.reset_all()
        try:
            await asyncio.sleep(for_s)
        finally:
            for proxy in proxies:
                proxy.faults = NO_NETWORK_FAULTS
        lost = sum(proxy.lost_messages for proxy in proxies) - before
        return f"{lost} of {named(processes)} in {for_s:.1f} s"


def _slow(chance: random.Random) -> NetworkFaults:
    return NetworkFaults(latency_ms=chance.uniform(*LATENCY_MS))


def _jittery(chance: random.Random) -> NetworkFaults:
    return NetworkFaults(latency_ms=5, jitter_ms=chance.uniform(*JITTER_MS))


def _replies_lost(_chance: random.Random) -> NetworkFaults:
    return NetworkFaults(lost=frozenset({Direction.REPLIES}))


def _requests_lost(_chance: random.Random) -> NetworkFaults:
    return NetworkFaults(lost=frozenset({Direction.REQUESTS}))


def _silent(_chance: random.Random) -> NetworkFaults:
    return NetworkFaults(lost=frozenset(Direction))


def _described(faults: NetworkFaults) -> str:
    if faults.lost:
        return f"{' and '.join(sorted(faults.lost))} lost"
    return f"{faults.latency_ms:.0f} ms, and up to {faults.jitter_ms:.0f} ms more"


NETWORK_FAULTS: dict[str, Make] = {
    "latency": _slow,
    "jitter": _jittery,
    "replies-lost": _replies_lost,
    "requests-lost": _requests_lost,
    "silence": _silent,
}
BREAKS = ("cut", "reset", "half-open")

NETWORK: tuple[Fault, ...] = (
    *(
        BadNetwork(name=f"{server}-{faults}", server=server, make=make)
        for server in SERVERS
        for faults, make in NETWORK_FAULTS.items()
    ),
    *(Break(name=f"{server}-{how}", server=server, how=how) for server in SERVERS for how in BREAKS),
    AcknowledgementsLost(),
)
