"""Network faults between service processes and a server: latency, cuts, resets, half-open connections, lost bytes.

Healing ends the simulated faults. A connection that lost bytes is then reset, as TCP would; one that is half-open
stays so, and its service has to notice by itself.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def somewhere(cluster: Cluster, chance: random.Random, *, server: str) -> tuple[str, list[Proxy]]:
    """Draw connections to a server: of one process, of a service's processes, or of all; return their name first."""
    processes = cluster.processes(chance.choice((*BUSY, *BUSY, *SERVICES)))
    processes = chance.choice(([chance.choice(processes)], processes, cluster.all_processes))
    text = "all processes" if processes == cluster.all_processes else named(processes)
    return text, [cluster.proxies[process, server] for process in processes]


@contextmanager
def with_faults(proxies: list[Proxy], faults: NetworkFaults) -> Iterator[None]:
    """Simulate the faults inside the block."""
    for proxy in proxies:
        proxy.faults = faults
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.faults = NO_NETWORK_FAULTS


@dataclass(frozen=True, kw_only=True)
class BadNetwork(Fault):
    """For some seconds the network has the faults that `make` draws."""

    name: str
    server: str
    make: Make
    family = FAMILY
    weight = 0.7

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        where, proxies = somewhere(cluster, chance, server=self.server)
        for_s = chance.uniform(*LASTS_S)
        faults = self.make(chance)
        with with_faults(proxies, faults):
            await asyncio.sleep(for_s)
        return f"{where} for {for_s:.1f} s: {_described(faults)}"


@dataclass(frozen=True, kw_only=True)
class Break(Fault):
    """Connections are broken again and again, in one of three ways."""

    name: str
    server: str
    how: str
    family = FAMILY
    weight = 0.7

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        where, proxies = somewhere(cluster, chance, server=self.server)
        broken = 0
        with with_faults(proxies, NO_NETWORK_FAULTS):
            for _ in range(chance.randint(*HITS)):
                for proxy in proxies:
                    broken += proxy.connections
                    self._break(proxy, chance)
                await asyncio.sleep(chance.uniform(*HIT_EVERY_S))
        return f"{broken} connections of {where}"

    def _break(self, proxy: Proxy, chance: random.Random) -> None:
        if self.how == "reset":
            proxy.reset_all()
        elif self.how == "half-open":
            proxy.half_open_all()
        else:
            proxy.faults = NetworkFaults(cut_after_bytes=chance.randint(*CUT_AFTER_BYTES))


class AcknowledgementsLost(Fault):
    """A consumer's acknowledgements are lost after its commits, so the bus delivers whole messages again.

    Its connections are reset first, so that the proxy parses each message to the bus from the first byte on.
    """

    name = "nats-acks-lost"
    family = FAMILY
    weight = 0.7

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        processes = cluster.processes(chance.choice(CONSUMERS))
        proxies = [cluster.proxies[process, NATS] for process in processes]
        for_s, before = chance.uniform(*ACKS_LOST_S), sum(proxy.lost_messages for proxy in proxies)
        with with_faults(proxies, NetworkFaults(lost_subject=ACKNOWLEDGEMENT)):
            for proxy in proxies:
                proxy.reset_all()
            await asyncio.sleep(for_s)
        lost = sum(proxy.lost_messages for proxy in proxies) - before
        return f"{lost} of {named(processes)} in {for_s:.1f} s"


def _described(faults: NetworkFaults) -> str:
    if faults.lost:
        return f"{' and '.join(sorted(faults.lost))} lost"
    return f"{faults.latency_ms:.0f} ms, and up to {faults.jitter_ms:.0f} ms more"


NETWORK_FAULTS: dict[str, Make] = {
    "latency": lambda chance: NetworkFaults(latency_ms=chance.uniform(*LATENCY_MS)),
    "jitter": lambda chance: NetworkFaults(latency_ms=5, jitter_ms=chance.uniform(*JITTER_MS)),
    "replies-lost": lambda _: NetworkFaults(lost=frozenset({Direction.REPLIES})),
    "requests-lost": lambda _: NetworkFaults(lost=frozenset({Direction.REQUESTS})),
    "silence": lambda _: NetworkFaults(lost=frozenset(Direction)),
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
