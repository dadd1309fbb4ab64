"""The NATS server's configuration, for the embedded server and for containers alike.

Anonymous is refused, because users are named and none is the default. Every message is on disk before it
is acknowledged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cafeteria.contracts.subjects import SERVICES, STREAMS
from cafeteria.provisioning.bus_permissions import STREAMS_ACCOUNT, Grant, Kind, grants, rights_of
from cafeteria.provisioning.credentials import ADMIN

MAX_PAYLOAD_BYTES = 1 << 20  # a list of a few thousand items; more is a fault of its sender
STORE_HEADROOM_BYTES = 1 << 30  # beside the streams' own limits: indexes, and what is to be compacted
CONSUMER_MEMORY_BYTES = 64 << 20  # consumers that a process makes for itself; no stream is kept in memory
MAX_CONSUMERS = (
    64  # of a stream: ours are fewer than twenty, and an administrator may need some; each costs memory
)


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
    return "\n".join((*_server(plan), *_jetstream(plan), *_accounts(plan), ""))


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


def _accounts(plan: NatsPlan) -> tuple[str, ...]:
    streams = _account(STREAMS_ACCOUNT, f"{{user: {ADMIN}, password: {_quoted(plan.password_of(ADMIN))}}}")
    streams = (*streams[:-1], f"    jetstream: {{max_consumers: {MAX_CONSUMERS}}}", streams[-1])
    services = (
        line for service in SERVICES for line in _account(service, _user(service, plan.password_of(service)))
    )
    return ('authorization {timeout: "5s"}', "accounts {", *streams, *services, "}")


def _account(name: str, user: str) -> tuple[str, ...]:
    exports = {grant.subject: grant for grant in grants() if grant.owner == name}
    return (
        f"  {name}: {{",
        f"    users: [{user}]",
        "    exports: [",
        *(f"      {_export(grant)}" for grant in exports.values()),
        "    ]",
        "    imports: [",
        *(f"      {_import(grant)}" for grant in grants() if grant.to == name),
        "    ]",
        "  }",
    )


def _export(grant: Grant) -> str:
    """To all that are granted this subject."""
    allowed = ", ".join(
        each.to for each in grants() if (each.owner, each.subject) == (grant.owner, grant.subject)
    )
    kind = "stream" if grant.kind is Kind.NO_ANSWER else "service"
    answers = ", response_type: stream" if grant.kind is Kind.MANY_ANSWERS else ""
    return f"{{{kind}: {_quoted(grant.subject)}, accounts: [{allowed}]{answers}}}"


def _import(grant: Grant) -> str:
    kind = "stream" if grant.kind is Kind.NO_ANSWER else "service"
    named = f", to: {_quoted(grant.name)}" if grant.name != grant.subject else ""
    return f"{{{kind}: {{account: {grant.owner}, subject: {_quoted(grant.subject)}}}{named}}}"


def _user(service: str, password: str) -> str:
    rights = rights_of(service)
    return (
        f"{{user: {service}, password: {_quoted(password)}, permissions: {{\n"
        f"      publish: {_listed(rights.publish)}\n"
        f"      subscribe: {_listed(rights.subscribe)}\n"
        "    }}"
    )


def _listed(subjects: tuple[str, ...]) -> str:
    inner = "".join(f"\n          {_quoted(subject)}" for subject in subjects)
    return f"[{inner}\n        ]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
