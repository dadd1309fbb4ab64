"""The caps on connections and their time limits, with connections that are stand-ins."""

from ipaddress import ip_address
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cafeteria.chassis.http import connection_limits
from cafeteria.chassis.http.connection_limits import (
    HEAD_S,
    KEEP_ALIVE_S,
    LINGER_S,
    REFUSAL_S,
    REFUSED_AT_ONCE,
    UNREAD_LEAST_BYTES,
    UNREAD_S,
    WARN_EVERY_S,
    ConnectionLimits,
)
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.settings import Network


class Peer:
    """A stand-in for a connection. `is_busy` while its request runs; `end` tells how the limits ended it."""

    queue: Any = None
    address: Any = None
    refusal: Any = None
    is_busy = False
    is_late = False
    unsent = 0

    def __init__(self, host: str = "10.0.0.1") -> None:
        self.host = host
        self.end: str | None = None

    def peer_host(self) -> str:
        return self.host

    def can_be_evicted(self) -> bool:
        return not self.is_busy

    def evict(self) -> None:
        self.end = "evicted"

    def refuse_connection(self) -> None:
        self.end = "refused"

    def time_out(self) -> str | None:
        self.end = "timed out"
        return None

    def is_body_late(self, age_s: int) -> bool:
        return self.is_late and age_s > 0

    def unsent_bytes(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.end = "aborted"


@pytest.fixture
def registry() -> CollectorRegistry:
    return metrics.app_registry()


@pytest.fixture
def make(registry: CollectorRegistry) -> Any:
    def make(*, total: int = 100, per_address: int = 0, proxies: tuple[str, ...] = ()) -> ConnectionLimits:
        networks = [Network(each) for each in proxies]
        return ConnectionLimits(total=total, per_address=per_address, proxies=networks, registry=registry)

    return make


def admitted(limits: ConnectionLimits, host: str = "10.0.0.1", *, is_busy: bool = False) -> Peer:
    peer = Peer(host)
    limits.admit(peer)
    if is_busy:
        peer.is_busy = True
        limits.wait(peer, None)
    return peer


def pass_seconds(limits: ConnectionLimits, seconds: int) -> None:
    for _ in range(seconds):
        limits.look()


def test_the_oldest_connection_without_a_head_is_evicted_first_then_half_bodies_then_idle_ones(
    make: Any,
) -> None:
    limits = make(total=5)
    idle, body, oldest, younger, ending = (admitted(limits) for _ in range(5))
    limits.wait(idle, limits.idle)
    limits.wait(body, limits.bodies)
    limits.wait(ending, limits.lingering)
    for evicted in (ending, oldest, younger, body, idle):
        assert evicted.end is None
        assert admitted(limits, is_busy=True).refusal is None
        assert evicted.end == "evicted"
    assert admitted(limits).refusal is not None


def test_a_flood_evicts_its_own_connections_and_not_older_ones_of_others(make: Any) -> None:
    limits = make(total=10)
    others = [admitted(limits, f"192.0.2.{number}") for number in range(3)]
    for _ in range(100):
        admitted(limits, "10.0.0.66")
    assert [peer.end for peer in others] == [None] * 3


def test_many_idle_connections_of_one_address_are_no_flood(make: Any) -> None:
    limits = make(total=10)
    shared = [admitted(limits, "192.0.2.1") for _ in range(6)]
    for peer in shared[1:]:
        limits.wait(peer, limits.idle)
    for number in range(100):
        admitted(limits, f"10.0.0.{number % 2}")
    assert [peer.end for peer in shared] == [None] * 6


def test_a_connection_with_a_running_request_is_never_evicted(make: Any) -> None:
    limits = make(total=2, per_address=2)
    busy = [admitted(limits, is_busy=True) for _ in range(2)]
    limits.wait(busy[0], limits.bodies)
    assert admitted(limits).refusal is not None
    assert [peer.end for peer in busy] == [None, None]


def test_a_released_slot_is_used_again(make: Any) -> None:
    limits = make(total=1)
    first = admitted(limits, is_busy=True)
    limits.release(first)
    limits.release(first)
    assert admitted(limits, is_busy=True).refusal is None
    assert admitted(limits).refusal is not None


def test_an_address_at_its_cap_is_refused_and_no_other(make: Any) -> None:
    limits = make(per_address=2)
    for _ in range(2):
        admitted(limits, is_busy=True)
    refusal = admitted(limits).refusal
    assert refusal is not None
    assert "Your address" in refusal.detail
    assert refusal.headers["Retry-After"]
    assert admitted(limits, "10.0.0.2").refusal is None


def test_at_an_addresss_cap_only_its_own_connections_are_evicted(make: Any) -> None:
    limits = make(per_address=1)
    other, own = admitted(limits, "10.0.0.2"), admitted(limits)
    assert admitted(limits).refusal is None
    assert (other.end, own.end) == (None, "evicted")


def test_at_an_addresss_cap_a_connection_that_owes_a_request_is_evicted_before_an_idle_one(make: Any) -> None:
    limits = make(per_address=2)
    idle, silent = admitted(limits), admitted(limits)
    limits.wait(idle, limits.idle)
    assert [admitted(limits, is_busy=True).refusal, idle.end, silent.end] == [None, None, "evicted"]
    assert [admitted(limits, is_busy=True).refusal, idle.end] == [None, "evicted"]


@pytest.mark.parametrize(
    ("host", "same", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2"),
    ],
)
def test_the_addresses_of_one_ipv6_network_count_as_one(make: Any, host: str, same: str, other: str) -> None:
    limits = make(per_address=1)
    admitted(limits, host, is_busy=True)
    assert admitted(limits, same).refusal is not None
    assert admitted(limits, other).refusal is None


@pytest.mark.parametrize("proxies", [("10.0.0.1",), ("10.0.0.0/8", "::1")])
def test_a_trusted_proxy_has_no_cap_of_its_own(make: Any, proxies: tuple[str, ...]) -> None:
    limits = make(per_address=1, proxies=proxies)
    assert all(admitted(limits, is_busy=True).refusal is None for _ in range(5))
    admitted(limits, "192.0.2.1", is_busy=True)
    assert admitted(limits, "192.0.2.1").refusal is not None


def test_zero_is_no_cap_for_an_address(make: Any) -> None:
    limits = make(per_address=0)
    assert all(admitted(limits, is_busy=True).refusal is None for _ in range(100))


def test_a_bounded_number_of_connections_over_the_cap_is_still_read(make: Any) -> None:
    limits = make(total=0)
    peers = [admitted(limits) for _ in range(REFUSED_AT_ONCE + 3)]
    assert [peer.end for peer in peers[:4]] == ["refused"] * 3 + [None]
    assert all(peer.queue is limits.turned_away for peer in peers[3:])
    pass_seconds(limits, REFUSAL_S + 1)
    assert {peer.end for peer in peers} == {"refused"}


def test_a_request_over_the_cap_keeps_its_slot_until_it_is_released(make: Any) -> None:
    limits = make(total=0)
    asking = [admitted(limits, is_busy=True) for _ in range(REFUSED_AT_ONCE)]
    late = admitted(limits)
    assert late.end == "refused"
    limits.release(asking[0])
    assert admitted(limits).end is None


@pytest.mark.parametrize(
    ("queue", "limit_s"), [("heads", HEAD_S), ("idle", KEEP_ALIVE_S), ("lingering", LINGER_S)]
)
def test_a_connection_times_out_at_its_limit_and_not_before(make: Any, queue: str, limit_s: int) -> None:
    limits = make()
    early, late = admitted(limits, is_busy=True), admitted(limits, is_busy=True)
    limits.wait(early, getattr(limits, queue))
    pass_seconds(limits, 1)
    limits.wait(late, getattr(limits, queue))
    pass_seconds(limits, limit_s - 1)
    assert early.end is None
    pass_seconds(limits, 1)
    assert (early.end, late.end) == ("timed out", None)
    pass_seconds(limits, 1)
    assert late.end == "timed out"


def test_a_late_body_times_out(make: Any) -> None:
    limits = make()
    late, steady = admitted(limits), admitted(limits)
    late.is_late = True
    limits.wait(late, limits.bodies)
    limits.wait(steady, limits.bodies)
    pass_seconds(limits, 1)
    assert (late.end, steady.end) == ("timed out", None)


@pytest.mark.parametrize(
    ("read_bytes", "end"), [(0, "aborted"), (UNREAD_LEAST_BYTES - 1, "aborted"), (UNREAD_LEAST_BYTES, None)]
)
def test_a_client_must_read_an_answer_at_a_minimum_rate(make: Any, read_bytes: int, end: str | None) -> None:
    limits = make()
    reader = admitted(limits, is_busy=True)
    reader.unsent = 70_000
    limits.watch_unsent(reader)
    pass_seconds(limits, UNREAD_S)
    assert reader.end is None
    reader.unsent -= read_bytes
    pass_seconds(limits, 1)
    assert reader.end == end


def test_an_answer_that_was_read_is_no_longer_watched(make: Any) -> None:
    limits = make()
    reader = admitted(limits, is_busy=True)
    limits.watch_unsent(reader)
    limits.forget_unsent(reader)
    pass_seconds(limits, UNREAD_S + 1)
    assert reader.end is None


def test_a_reached_cap_is_logged_once_a_minute_with_its_evictions(
    make: Any, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **facts: Any) -> None:
            lines.append({"event": event, **facts})

    monkeypatch.setattr(connection_limits, "_log", Log())
    limits = make(total=2)
    admitted(limits, "10.0.0.9", is_busy=True)
    for _ in range(WARN_EVERY_S + 2):
        admitted(limits)
        limits.look()
    first, second = lines
    assert (first["event"], first["gave_way"], first["open"]) == ("connections_limited", 1, 2)
    assert second["gave_way"] == WARN_EVERY_S
    assert registry.get_sample_value("cafeteria_http_connections") == 2
    met = registry.get_sample_value("cafeteria_http_connections_limited_total", {"limit": "gave_way"})
    assert met == WARN_EVERY_S + 1


def test_a_slow_client_causes_no_warning(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "_log", None)  # any log call would raise
    limits = make()
    admitted(limits)
    pass_seconds(limits, HEAD_S + 5)


def test_released_connections_leave_no_entry_behind(make: Any) -> None:
    limits = make(total=3, per_address=2)
    for number in range(50):
        peer = admitted(limits, str(ip_address("10.0.0.0") + number))
        limits.wait(peer, limits.idle)
    for peer in list(limits.idle):
        limits.release(peer)
    assert (limits._addresses, limits._open, limits.heads, limits.idle) == ({}, 0, {}, {})
