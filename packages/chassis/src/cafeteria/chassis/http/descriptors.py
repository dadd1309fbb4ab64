"""The process's limit of file descriptors, and how many of them are for clients' connections."""

import resource
import sys
from contextlib import suppress

OTHER_DESCRIPTORS = 192
"""For the database, the bus, files, the event loop, and connections that are closing for newer ones."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: it is often 1,024, for programs that call select(), which ours do not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses "unlimited": the soft limit then stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_allowed(*, reserved: int) -> int:
    """The soft limit less `reserved` sockets of the server and OTHER_DESCRIPTORS; at least half of it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(soft - reserved - OTHER_DESCRIPTORS, soft // 2)
