"""The NATS server's configuration, for the embedded server and for containers alike.

Anonymous is refused, because users are named and none is the default. Every message is on disk before it
is acknowledged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cafeteria.contracts.bus import SERVICES, STREAMS
from cafeteria.local_stack.bus_rights import inbox_prefix, rights_of
from cafeteria.local_stack.credentials import ADMIN

MAX_PAYLOAD_BYTES = 1 << 20  # a list of a few thousand items; more is a fault of its sender
REPLY_WITHIN = "2m"  # a peer that was stopped and continued may still answer; its asker has long gone on
STORE_HEADROOM_BYTES = 1 << 30  # beside the streams' own limits: indexes, and what is to be compacted
CONSUMER_MEMORY_BYTES = 64 << 20  # consumers that a process makes for itself; no stream is kept in memory


@dataclass(frozen=True, kw_only=True)
class NatsPlan:
    """Where the server listens and keeps its store. `password_of` gives the password of each user."""

    host: str
    port: int
    monitor_port: int
    store: Path
    stream_max_bytes: int
    password_of: Callable[[str], str]


def render(plan: NatsPlan) -> str:
    """The whole configuration file. It holds passwords: write it for its owner's eyes only."""
    return "\n".join((*_server(plan), *_jetstream(plan), *_users(plan), ""))


def _server(plan: NatsPlan) -> tuple[str, ...]:
    return (
        "server_name: cafeteria",
        f"host: {_quoted(plan.host)}",
        f"port: {plan.port}",
        f'http: "{plan.host}:{plan.monitor_port}"',
        f"max_payload: {MAX_PAYLOAD_BYTES}",
        'ping_interval: "5s"  # a client that froze is let go after three of these',
        'write_deadline: "5s"',
        'lame_duck_duration: "30s"',
    )


def _jetstream(plan: NatsPlan) -> tuple[str, ...]:
    # stated, or the server takes a share of the free disk and refuses streams on a small one
    room = plan.stream_max_bytes * len(STREAMS) + STORE_HEADROOM_BYTES
    return (
        "jetstream {",
        f"  store_dir: {_quoted(str(plan.store))}",
        f"  max_file_store: {room}",
        f"  max_memory_store: {CONSUMER_MEMORY_BYTES}",
        "  sync_interval: always  # the default flushes every two minutes, and a power cut loses them",
        "}",
    )


def _users(plan: NatsPlan) -> tuple[str, ...]:
    services = (line for service in SERVICES for line in _user(service, plan.password_of(service)))
    admin = f"    {{user: {ADMIN}, password: {_quoted(plan.password_of(ADMIN))}}}"
    return ("authorization {", '  timeout: "5s"', "  users: [", admin, *services, "  ]", "}")


def _user(service: str, password: str) -> tuple[str, ...]:
    rights = rights_of(service)
    denied = (f"        deny: {_listed(rights.never)}",) if rights.never else ()
    return (
        f"    {{user: {service}, password: {_quoted(password)}, permissions: {{",
        f"      # its inbox is {inbox_prefix(service)}: nobody hears another's replies",
        "      publish: {",
        f"        allow: {_listed(rights.publish)}",
        *denied,
        "      }",
        "      subscribe: {",
        f"        allow: {_listed(rights.subscribe)}",
        "      }",
        f'      allow_responses: {{max: 1, expires: "{REPLY_WITHIN}"}}',
        "    }}",
    )


def _listed(subjects: tuple[str, ...]) -> str:
    inner = "".join(f"\n          {_quoted(subject)}" for subject in subjects)
    return f"[{inner}\n        ]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
