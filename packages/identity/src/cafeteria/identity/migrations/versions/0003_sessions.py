"""The first token of a family is its session: it has the last use, the client, and the end of the last access token.

Rows of earlier versions have no end of an access token: those access tokens name no session, and nobody accepts them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SCHEMA = "identity"
_TABLE = "refresh_tokens"
_INSTANT = sa.TIMESTAMP(timezone=True)
_COLUMNS = (
    ("last_used_at", _INSTANT),
    ("access_expires_at", _INSTANT),
    ("client_ip", postgresql.INET()),
    ("user_agent", sa.String()),
)
_CHECKS = {
    "session_on_first": (
        "id = family OR num_nonnulls(last_used_at, access_expires_at, client_ip, user_agent) = 0",
        "one row per family is the session",
    ),
    "user_agent_short": ("length(user_agent) <= 200", "what a client says of itself has a bound"),
}
_LAST_USES = """
UPDATE identity.refresh_tokens AS session SET last_used_at = family.last_used_at
FROM (SELECT family, max(created_at) AS last_used_at FROM identity.refresh_tokens GROUP BY family) AS family
WHERE session.id = family.family
"""


def upgrade() -> None:
    for name, kind in _COLUMNS:
        op.add_column(_TABLE, sa.Column(name, kind, nullable=True), schema=_SCHEMA)
    op.execute(_LAST_USES)
    for name, (rule, comment) in _CHECKS.items():
        constraint = op.f(f"ck_{_TABLE}_{name}")
        op.create_check_constraint(constraint, _TABLE, rule, schema=_SCHEMA)
        op.execute(f"COMMENT ON CONSTRAINT {constraint} ON identity.refresh_tokens IS '{comment}'")
    _index("user_id", "id", where="id = family")
    _index("last_used_at", where="id = family")
    _index("family")
    _index("access_expires_at", "id", where="revoked_at IS NOT NULL")


def downgrade() -> None:
    for columns in ("user_id_id", "last_used_at", "family", "access_expires_at_id"):
        op.drop_index(f"ix_{_TABLE}_{columns}", _TABLE, schema=_SCHEMA)
    for name in _CHECKS:
        op.drop_constraint(op.f(f"ck_{_TABLE}_{name}"), _TABLE, schema=_SCHEMA)
    for name, _ in _COLUMNS:
        op.drop_column(_TABLE, name, schema=_SCHEMA)


def _index(*columns: str, where: str | None = None) -> None:
    name = f"ix_{_TABLE}_{'_'.join(columns)}"
    condition = None if where is None else sa.text(where)
    op.create_index(name, _TABLE, list(columns), schema=_SCHEMA, postgresql_where=condition)
