"""How many files and sockets the process may hold, and how many of them clients may have."""

import resource
import sys
from contextlib import suppress

OTHER_DESCRIPTORS = 192
"""For the database, the bus, files, the event loop, and connections that are just being closed for newer ones."""


def raise_descriptor_limit() -> None:
    """The soft limit is often 1,024 for the sake of programs that call select(); ours do not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses "unlimited": what is there has to do
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_allowed(*, reserved: int) -> int:
    """What the soft limit leaves for clients beside `reserved` sockets of the server; half of it at least."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(soft - reserved - OTHER_DESCRIPTORS, soft // 2)
