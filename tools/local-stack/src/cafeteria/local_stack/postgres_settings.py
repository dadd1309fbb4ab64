"""The settings of the embedded Postgres, and what initdb found out about this machine, which stays as it found it.

An acknowledged COMMIT is on disk: fsync and synchronous_commit stay on, also here.
"""

import os
import re
import sys
from pathlib import Path

from cafeteria.local_stack import ports

SETTINGS = {
    "unix_socket_directories": "''",  # loopback TCP with a password is the one way in
    "password_encryption": "'scram-sha-256'",
    "max_connections": "100",  # five services, two replicas each, eight connections and a relay's lock
    "shared_buffers": "256MB",  # a day's orders stay in memory; more buys nothing here
    "effective_cache_size": "'1GB'",  # what the system's cache holds beside it on a small machine
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "'2GB'",  # a rush writes much: fewer checkpoints in it
    "checkpoint_timeout": "'10min'",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than these short statements take
    "max_parallel_workers_per_gather": "0",  # the same: no query here is worth starting processes
    "autovacuum_naptime": "'15s'",  # outbox and inventory rows die by the thousand; a minute is long
    "idle_in_transaction_session_timeout": "'60s'",  # a frozen client cannot hold its locks for ever
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m %q%u '",
    "log_parameter_max_length": "0",  # statements may be logged, the values in them never
    "log_parameter_max_length_on_error": "0",
}
_INITDBS_BEST = {"max_connections": "100", "shared_buffers": "128MB"}
"""What initdb (src/bin/initdb, test_config_settings) writes where the machine has room; less means that it has not."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it, no temporary file
_SHARED_MEMORY_ROOM_BYTES = 32 << 20  # statistics and parallel VACUUM take segments of 1 MiB and more
_SETTING = re.compile(r"^(\w+) *= *'?([\w.]+)'?", re.MULTILINE)


def render_settings(initdbs_file: Path, *, port: int) -> str:
    """The configuration file. `initdbs_file` is the `postgresql.conf` that initdb wrote."""
    found = dict(_SETTING.findall(initdbs_file.read_text()))
    settings = {"listen_addresses": f"'{ports.HOST}'", "port": str(port), **SETTINGS}
    for name, best in _INITDBS_BEST.items():
        if found.get(name, best) != best:
            settings[name] = found[name]
    settings["dynamic_shared_memory_type"] = shared_memory_type()
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def shared_memory_type() -> str:
    """Asked at every start: initdb only looks whether a segment can be made, and the machine may change later."""
    return "posix" if sys.platform != "linux" or _has_shared_memory() else "mmap"


def _has_shared_memory() -> bool:
    """Whether there is room that any user may take."""
    try:
        room = os.statvfs(_SHARED_MEMORY)
        return room.f_bavail * room.f_frsize >= _SHARED_MEMORY_ROOM_BYTES and bool(
            _SHARED_MEMORY.stat().st_mode & 0o002
        )
    except OSError:
        return False
