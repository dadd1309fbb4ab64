"""Renders the NATS server's configuration for the embedded server and for containers.

The server refuses anonymous clients, because it has named users and no default one. It flushes every message to disk
before it acknowledges it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cafeteria.contracts.subjects import SERVICES, STREAMS
from cafeteria.provisioning.bus_permissions import STREAMS_ACCOUNT, Grant, Kind, grants, rights_of
from cafeteria.provisioning.credentials import ADMIN

MAX_PAYLOAD_BYTES = 1 << 20  # a list of a few thousand items; a larger message is a fault of its sender
STORE_HEADROOM_BYTES = 1 << 30  # beyond the streams' own limits: indexes and messages that await compaction
CONSUMER_MEMORY_BYTES = 64 << 20  # ephemeral consumers; no stream is in memory
MAX_CONSUMERS = (
    64  # per stream: services have fewer than twenty, an administrator may need some; each costs memory
)


@dataclass(frozen=True, kw_only=True)
class NatsPlan:
    """The server's addresses, store and limits. `password_of` returns the password of a user."""

    host: str
    port: int
    monitor_port: int
    store: Path
    stream_max_bytes: int
    password_of: Callable[[str], str]


def render(plan: NatsPlan) -> str:
    """Return the whole configuration file. It contains passwords, so only its owner may read it."""
    return "\n".join((*_server(plan), *_jetstream(plan), *_accounts(plan), ""))


def _server(plan: NatsPlan) -> tuple[str, ...]:
    return (
        "server_name: cafeteria",
        f"host: {_quoted(plan.host)}",
        f"port: {plan.port}",
        f'http: "{plan.host}:{plan.monitor_port}"',
        f"max_payload: {MAX_PAYLOAD_BYTES}",
        'ping_interval: "5s"  # the server disconnects a frozen client after three of these',
        'write_deadline: "5s"',
        'lame_duck_duration: "30s"',
    )


def _jetstream(plan: NatsPlan) -> tuple[str, ...]:
    # explicit: by default the server takes a share of the free disk and refuses streams on a small one
    max_store_bytes = plan.stream_max_bytes * len(STREAMS) + STORE_HEADROOM_BYTES
    return (
        "jetstream {",
        f"  store_dir: {_quoted(str(plan.store))}",
        f"  max_file_store: {max_store_bytes}",
        f"  max_memory_store: {CONSUMER_MEMORY_BYTES}",
        "  sync_interval: always  # by default it flushes every two minutes, and a power cut loses the rest",
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
    """Export the subject to every account that has a grant for it."""
    allowed = ", ".join(
        each.to for each in grants() if (each.owner, each.subject) == (grant.owner, grant.subject)
    )
    kind = "stream" if grant.kind is Kind.NO_REPLY else "service"
    replies = ", response_type: stream" if grant.kind is Kind.MANY_REPLIES else ""
    return f"{{{kind}: {_quoted(grant.subject)}, accounts: [{allowed}]{replies}}}"


def _import(grant: Grant) -> str:
    kind = "stream" if grant.kind is Kind.NO_REPLY else "service"
    renamed = f", to: {_quoted(grant.name)}" if grant.name != grant.subject else ""
    return f"{{{kind}: {{account: {grant.owner}, subject: {_quoted(grant.subject)}}}{renamed}}}"


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
