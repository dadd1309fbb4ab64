"""Renders the settings of the embedded Postgres and keeps initdb's lower limits for a small machine.

An acknowledged COMMIT is on disk: fsync and synchronous_commit are on.
"""

import os
import re
import sys
from pathlib import Path

from cafeteria.local_stack import ports

SETTINGS = {
    "unix_socket_directories": "''",  # clients can connect by loopback TCP with a password only
    "password_encryption": "'scram-sha-256'",
    "max_connections": "100",  # five services, two replicas each, eight connections; a role has 40
    "shared_buffers": "256MB",  # a day's orders fit in memory; more is no faster here
    "effective_cache_size": "'1GB'",  # the system's cache on a small machine
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "'2GB'",  # a rush writes much, so it needs fewer checkpoints
    "checkpoint_timeout": "'10min'",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than these short statements take
    "max_parallel_workers_per_gather": "0",  # no query here is worth starting processes
    "autovacuum_naptime": "'15s'",  # outbox and inventory rows die by the thousand; a minute is long
    "idle_in_transaction_session_timeout": "'60s'",  # a frozen client loses its locks
    "max_notify_queue_pages": "64",  # the least: nothing here listens, and no role can be refused NOTIFY
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m %q%u '",
    "log_parameter_max_length": "0",  # logs may contain statements, but never their values
    "log_parameter_max_length_on_error": "0",
}
_INITDB_DEFAULTS = {"max_connections": "100", "shared_buffers": "128MB"}
"""The values that initdb (src/bin/initdb, test_config_settings) writes on a machine with enough memory."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's shared memory, not a temporary file
_SHARED_MEMORY_MIN_BYTES = 32 << 20  # statistics and parallel VACUUM take segments of 1 MiB and more
_SETTING = re.compile(r"^(\w+) *= *'?([\w.]+)'?", re.MULTILINE)


def render_settings(initdbs_file: Path, *, port: int) -> str:
    """Return the configuration file. `initdbs_file` is the `postgresql.conf` that initdb wrote."""
    found = dict(_SETTING.findall(initdbs_file.read_text()))
    settings = {"listen_addresses": f"'{ports.HOST}'", "port": str(port), **SETTINGS}
    for name, best in _INITDB_DEFAULTS.items():
        if found.get(name, best) != best:
            settings[name] = found[name]
    settings["dynamic_shared_memory_type"] = shared_memory_type()
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def shared_memory_type() -> str:
    """Return the type for this start: initdb only checks that it can create a segment, and the machine may change."""
    return "posix" if sys.platform != "linux" or _has_shared_memory() else "mmap"


def _has_shared_memory() -> bool:
    """Whether any user can allocate _SHARED_MEMORY_MIN_BYTES."""
    try:
        state = os.statvfs(_SHARED_MEMORY)
        return state.f_bavail * state.f_frsize >= _SHARED_MEMORY_MIN_BYTES and bool(
            _SHARED_MEMORY.stat().st_mode & 0o002
        )
    except OSError:
        return False
