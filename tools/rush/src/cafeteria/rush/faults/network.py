"""Bad network between service processes and a server: slow, cut in mid-message, reset, half-open, deaf one way.

Healing is fair weather. A connection that lost bytes is then reset, as TCP would; one that is half-open stays so,
and its service has to notice by itself.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from cafeteria.contracts.bus import DURABLES, GATEWAY, KITCHEN, NOTIFICATION, SERVICES, STOCK
from cafeteria.rush.arena import NATS, SERVERS, Arena
from cafeteria.rush.faults.fault import Fault, named
from cafeteria.rush.proxy import FAIR, Direction, Proxy, Weather

FAMILY = "network"
LASTS_S = (1.0, 6.0)
LATENCY_MS = (20.0, 400.0)
JITTER_MS = (50.0, 800.0)
CUT_AFTER_BYTES = (0, 3_000)
"""From before the first byte to the middle of a batch."""
ACKS_LOST_S = (3.0, 8.0)
"""From less than the server waits for an acknowledgement to more."""
ACKNOWLEDGEMENT = "$JS.ACK."
HITS = (1, 6)
HIT_EVERY_S = (0.1, 1.0)

CONSUMERS = tuple(dict.fromkeys(durable.owner for durable in DURABLES))
BUSY = (GATEWAY, STOCK, KITCHEN, NOTIFICATION)
"""Hit more often than identity, which students need once in a while only."""

Make = Callable[[random.Random], Weather]


@dataclass(frozen=True, kw_only=True)
class Where:
    """The connections that one fault is about."""

    text: str
    proxies: list[Proxy]


def somewhere(arena: Arena, chance: random.Random, *, server: str) -> Where:
    """One process, all of a service, or everybody; and the server."""
    members = arena.members(chance.choice((*BUSY, *BUSY, *SERVICES)))
    members = chance.choice(([chance.choice(members)], members, arena.all_members))
    text = "everybody" if members == arena.all_members else named(members)
    return Where(text=text, proxies=[arena.proxies[member, server] for member in members])


@dataclass(frozen=True, kw_only=True)
class BadWeather:
    """For some seconds the network is as `make` says."""

    name: str
    server: str
    make: Make
    family: str = FAMILY
    weight: float = 0.7

    async def strike(self, arena: Arena, chance: random.Random) -> str:
        where = somewhere(arena, chance, server=self.server)
        for_s = chance.uniform(*LASTS_S)
        weather = self.make(chance)
        for proxy in where.proxies:
            proxy.weather = weather
        try:
            await asyncio.sleep(for_s)
        finally:
            for proxy in where.proxies:
                proxy.weather = FAIR
        return f"{where.text} for {for_s:.1f} s: {_said(weather)}"


@dataclass(frozen=True, kw_only=True)
class Break:
    """Connections are broken again and again, in one of three ways."""

    name: str
    server: str
    how: str
    family: str = FAMILY
    weight: float = 0.7

    async def strike(self, arena: Arena, chance: random.Random) -> str:
        where = somewhere(arena, chance, server=self.server)
        broken = 0
        for _ in range(chance.randint(*HITS)):
            for proxy in where.proxies:
                broken += proxy.connections
                self._break(proxy, chance)
            await asyncio.sleep(chance.uniform(*HIT_EVERY_S))
        for proxy in where.proxies:
            proxy.weather = FAIR
        return f"{broken} connections of {where.text}"

    def _break(self, proxy: Proxy, chance: random.Random) -> None:
        if self.how == "reset":
            proxy.reset_all()
        elif self.how == "half-open":
            proxy.half_open_all()
        else:
            proxy.weather = Weather(cut_after_bytes=chance.randint(*CUT_AFTER_BYTES))


@dataclass(frozen=True, kw_only=True)
class AcknowledgementsLost:
    """What a consumer has committed it acknowledges in vain: the messages are delivered again, whole.

    Its connections are cut first, so that the proxy meets each message to the bus from the first on.
    """

    name: str = "nats-acks-lost"
    family: str = FAMILY
    weight: float = 0.7

    async def strike(self, arena: Arena, chance: random.Random) -> str:
        members = arena.members(chance.choice(CONSUMERS))
        proxies = [arena.proxies[member, NATS] for member in members]
        for_s, before = chance.uniform(*ACKS_LOST_S), sum(proxy.lost_messages for proxy in proxies)
        for proxy in proxies:
            proxy.weather = Weather(lost_subject=ACKNOWLEDGEMENT)
            proxy.reset_all()
        try:
            await asyncio.sleep(for_s)
        finally:
            for proxy in proxies:
                proxy.weather = FAIR
        lost = sum(proxy.lost_messages for proxy in proxies) - before
        return f"{lost} of {named(members)} in {for_s:.1f} s"


def _slow(chance: random.Random) -> Weather:
    return Weather(latency_ms=chance.uniform(*LATENCY_MS))


def _jittery(chance: random.Random) -> Weather:
    return Weather(latency_ms=5, jitter_ms=chance.uniform(*JITTER_MS))


def _deaf(_chance: random.Random) -> Weather:
    return Weather(lost=frozenset({Direction.REPLIES}))


def _mute(_chance: random.Random) -> Weather:
    return Weather(lost=frozenset({Direction.REQUESTS}))


def _gone(_chance: random.Random) -> Weather:
    return Weather(lost=frozenset(Direction))


def _said(weather: Weather) -> str:
    if weather.lost:
        return f"{' and '.join(sorted(weather.lost))} lost"
    return f"{weather.latency_ms:.0f} ms, and up to {weather.jitter_ms:.0f} ms more"


WEATHERS: dict[str, Make] = {
    "latency": _slow,
    "jitter": _jittery,
    "replies-lost": _deaf,
    "requests-lost": _mute,
    "silence": _gone,
}
BREAKS = ("cut", "reset", "half-open")

NETWORK: tuple[Fault, ...] = (
    *(
        BadWeather(name=f"{server}-{weather}", server=server, make=make)
        for server in SERVERS
        for weather, make in WEATHERS.items()
    ),
    *(Break(name=f"{server}-{how}", server=server, how=how) for server in SERVERS for how in BREAKS),
    AcknowledgementsLost(),
)
