"""The kinds of faults, each a small class; `KINDS` has them by name."""

from cafeteria.rush.faults import disk
from cafeteria.rush.faults.bus_users import BUS_USERS
from cafeteria.rush.faults.clients import CLIENTS
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.faults.items import ITEMS
from cafeteria.rush.faults.malicious_clients import MALICE
from cafeteria.rush.faults.messages import MESSAGES
from cafeteria.rush.faults.network import NETWORK
from cafeteria.rush.faults.processes import PROCESSES
from cafeteria.rush.faults.servers import SERVERS

KINDS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *PROCESSES,
        *SERVERS,
        *disk.DISK,
        *NETWORK,
        *MESSAGES,
        *ITEMS,
        *CLIENTS,
        *BUS_USERS,
        *MALICE,
    )
}

NOT_HERE: dict[str, str] = (
    {}
    if disk.IS_POSSIBLE
    else dict.fromkeys(
        (fault.name for fault in disk.DISK),
        "only root on Linux may mount the small file system that it fills",
    )
)
"""Kinds that this user or machine cannot inject, and why."""
