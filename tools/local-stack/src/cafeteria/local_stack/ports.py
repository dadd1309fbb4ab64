"""Chooses free ports and checks that ports are free."""

import os
import random
import socket
from collections.abc import Iterable

from cafeteria.provisioning.errors import StackError

HOST = "127.0.0.1"

_FREE_RANGE = range(20_000, 32_000)
"""Below the ports that Linux (from 32,768) and macOS (from 49,152) use for outgoing connections, so that a restarted
server finds its port free."""
_ATTEMPTS = 200
_ANSWER_S = 0.5  # on the loopback address the kernel answers at once


def is_free(port: int, *, host: str = HOST) -> bool:
    """Whether no server listens on the port.

    On macOS 127.0.0.1 can be bound beside a server on all addresses, so this also tries to connect.
    """
    return _can_be_bound(host, port) and not _accepts_connections(host, port)


def _can_be_bound(host: str, port: int) -> bool:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _accepts_connections(host: str, port: int) -> bool:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_S)
        return probe.connect_ex((host, port)) == 0


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


_reservations: list[int] = []
"""Descriptors that reserve this process' ports (see `_reserve`), open until it ends."""


def free_ports(count: int) -> int:
    """Reserve `count` consecutive free ports for this process and return the first.

    A reserved port may be free while its server has not started or is restarting; no other call returns it before this
    process ends. Raises `StackError` when it finds none.
    """
    for _ in range(_ATTEMPTS):
        first = random.choice(_FREE_RANGE[:-count])  # noqa: S311 - a port is not a secret
        wanted = range(first, first + count)
        reservations = [reservation for port in wanted if (reservation := _reserve(port)) is not None]
        if len(reservations) == count and all(map(is_free, wanted)):
            _reservations.extend(reservations)
            return first
        for reservation in reservations:
            os.close(reservation)
    raise StackError(f"No {count} consecutive free ports between {_FREE_RANGE.start} and {_FREE_RANGE.stop}.")


def _reserve(port: int) -> int | None:
    """Bind the UDP port of the same number and return its descriptor, or None if it is bound already.

    No server here uses UDP. The process that has the descriptor owns the TCP port; the kernel frees it when the
    process ends.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reservation:
        try:
            reservation.bind((HOST, port))
        except OSError:
            return None
        return reservation.detach()


def free_port() -> int:
    return free_ports(1)


def first_free(candidates: Iterable[int], *, advice: str, host: str = HOST) -> int:
    """Reserve the first free port of the candidates and return it. Raises `StackError` when none is free."""
    tried = []
    for port in candidates:
        tried.append(port)
        reservation = _reserve(port) if is_free(port, host=host) else None
        if reservation is not None:
            _reservations.append(reservation)
            return port
    raise StackError(
        f"No free port from {tried[0]} to {tried[-1]}: {advice}" if tried else f"No port is left: {advice}"
    )


def require_free(ports: Iterable[tuple[str, int]], *, advice: str, host: str = HOST) -> None:
    """Raise `StackError` that names every port on which another process listens."""
    taken = [f"{port} ({name})" for name, port in ports if not is_free(port, host=host)]
    if taken:
        plural = "Port" if len(taken) == 1 else "Ports"
        verb = "is" if len(taken) == 1 else "are"
        raise StackError(f"{plural} {', '.join(taken)} {verb} in use on {host}: {advice}")
