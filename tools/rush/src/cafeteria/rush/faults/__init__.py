"""Everything that can go wrong, each kind a small class; `KINDS` has them by name."""

from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.faults.processes import PROCESSES
from cafeteria.rush.faults.servers import SERVERS

KINDS: dict[str, Fault] = {fault.name: fault for fault in (*PROCESSES, *SERVERS)}
