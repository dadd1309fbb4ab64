"""Ports on the loopback address."""

import os
import random
import socket
from collections.abc import Iterable

from cafeteria.provisioning.errors import StackError

HOST = "127.0.0.1"

_FREE_RANGE = range(20_000, 32_000)
"""Below the ports that Linux (from 32,768 on) and macOS (from 49,152 on) lend to outgoing connections: a server that was
killed must find its port free when it comes back."""
_ATTEMPTS = 200
_ANSWER_S = 0.5  # the kernel itself answers, on the loopback address at once


def is_free(port: int, *, host: str = HOST) -> bool:
    """Bound and asked: on macOS one may bind 127.0.0.1 beside a server that listens on every address."""
    return _may_be_bound(host, port) and not _is_answered(host, port)


def _may_be_bound(host: str, port: int) -> bool:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _is_answered(host: str, port: int) -> bool:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_S)
        return probe.connect_ex((host, port)) == 0


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


_held: list[int] = []
"""The marks on the ports that this process was given (see `_mark`), left open until it ends."""


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row, none of which this process or another one has been given.

    One that was given may be free because its server has not begun, or was killed and comes back. It is given to nobody
    else until the process that asked for it has ended. Raises `StackError` when none are found.
    """
    for _ in range(_ATTEMPTS):
        first = random.choice(_FREE_RANGE[:-count])  # noqa: S311 - a port is no secret
        wanted = range(first, first + count)
        marks = [mark for port in wanted if (mark := _mark(port)) is not None]
        if len(marks) == count and all(map(is_free, wanted)):
            _held.extend(marks)
            return first
        for mark in marks:
            os.close(mark)
    raise StackError(f"No {count} free ports in a row between {_FREE_RANGE.start} and {_FREE_RANGE.stop}.")


def _mark(port: int) -> int | None:
    """A descriptor of the UDP port of the same number, which no server here uses: the process that holds it was given the
    TCP port, and the kernel frees it when that process ends. None where it is held already.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark:
        try:
            mark.bind((HOST, port))
        except OSError:
            return None
        return mark.detach()


def free_port() -> int:
    return free_ports(1)


def require_free(ports: Iterable[tuple[str, int]], *, advice: str, host: str = HOST) -> None:
    """Raise `StackError` naming every port that somebody else listens on."""
    taken = [f"{port} ({name})" for name, port in ports if not is_free(port, host=host)]
    if taken:
        plural = "Port" if len(taken) == 1 else "Ports"
        verb = "is" if len(taken) == 1 else "are"
        raise StackError(f"{plural} {', '.join(taken)} {verb} in use on {host}: {advice}")
