"""Add items, inventory, decisions and the two ledgers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from cafeteria.chassis.database.migrations import grant_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_items()
    _create_inventory()
    _create_reservations()
    _create_stock_transactions()
    _create_restocks()
    grant_tables(op, schema="stock", role="stock", insert_only=("stock_transactions", "restocks"))
    _narrow_grants()


def downgrade() -> None:
    for table in ("restocks", "stock_transactions", "reservations", "inventory", "items"):
        op.drop_table(table, schema="stock")


def _create_items() -> None:
    op.create_table(
        "items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("price", sa.Numeric(10, 2), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("on_sale", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.CheckConstraint(
            "price >= 0", name=op.f("ck_items_price_not_negative"), comment="nothing pays to be taken"
        ),
        schema="stock",
    )


def _create_inventory() -> None:
    op.create_table(
        "inventory",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_inventory"),
        sa.ForeignKeyConstraint(["item_id"], ["stock.items.id"], name="fk_inventory_item_id"),
        sa.UniqueConstraint("item_id", name="uq_inventory_item_id", comment="one shelf per item"),
        sa.CheckConstraint(
            "quantity >= 0",
            name=op.f("ck_inventory_quantity_not_negative"),
            comment="no portion is sold twice",
        ),
        schema="stock",
    )


def _create_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("decided_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("released_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name="pk_reservations"),
        sa.CheckConstraint(
            "decision IN ('RESERVED', 'REJECTED')", name=op.f("ck_reservations_decision_known")
        ),
        sa.CheckConstraint(
            "reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED')",
            name=op.f("ck_reservations_reason_known"),
        ),
        sa.CheckConstraint(
            "(decision = 'REJECTED') = (reason IS NOT NULL)",
            name=op.f("ck_reservations_reason_of_refusals"),
            comment="a refusal says why, a reservation has nothing to say",
        ),
        sa.CheckConstraint(
            "decision = 'REJECTED' OR jsonb_array_length(lines) > 0",
            name=op.f("ck_reservations_lines_of_reservations"),
            comment="without its lines a reservation could not be given back",
        ),
        schema="stock",
    )


def _create_stock_transactions() -> None:
    op.create_table(
        "stock_transactions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity_deducted", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stock_transactions"),
        sa.ForeignKeyConstraint(["item_id"], ["stock.items.id"], name="fk_stock_transactions_item_id"),
        sa.UniqueConstraint(
            "order_id",
            "item_id",
            "kind",
            name="uq_stock_transactions_order_id_item_id_kind",
            comment="taken once, given back once",
        ),
        sa.CheckConstraint("kind IN ('DEDUCT', 'RELEASE')", name=op.f("ck_stock_transactions_kind_known")),
        sa.CheckConstraint(
            "quantity_deducted <> 0 AND (kind = 'DEDUCT') = (quantity_deducted > 0)",
            name=op.f("ck_stock_transactions_sign_of_kind"),
            comment="a deduction is positive, a release negative",
        ),
        schema="stock",
    )
    op.create_index(
        "ix_stock_transactions_item_id_id", "stock_transactions", ["item_id", "id"], schema="stock"
    )


def _create_restocks() -> None:
    op.create_table(
        "restocks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_restocks"),
        sa.ForeignKeyConstraint(["item_id"], ["stock.items.id"], name="fk_restocks_item_id"),
        sa.CheckConstraint(
            "quantity >= 0",
            name=op.f("ck_restocks_quantity_not_negative"),
            comment="a restock takes nothing away",
        ),
        schema="stock",
    )
    op.create_index("ix_restocks_item_id", "restocks", ["item_id"], schema="stock")


def _narrow_grants() -> None:
    """Keep decisions and items for ever: of a decision's row the service may set `released_at` alone."""
    op.execute("REVOKE UPDATE, DELETE ON stock.reservations FROM stock")
    op.execute("GRANT UPDATE (released_at) ON stock.reservations TO stock")
    op.execute("REVOKE DELETE ON stock.items, stock.inventory FROM stock")
