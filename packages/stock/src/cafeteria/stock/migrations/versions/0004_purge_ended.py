"""Add the one way to delete old rows of the ledger and old decisions.

What the deleted rows of an item come to together becomes one row of restocks, its opening balance, so that at every commit
the restocks less the quantity are what was deducted. The lock makes two purges take turns, and a restock wait for one.
"""

from alembic import op

from cafeteria.chassis.database.migrations import create_purge, drop_purge

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "stock"

_DELETION = """
LOCK TABLE restocks IN SHARE ROW EXCLUSIVE MODE;
WITH old AS (
    SELECT id, item_id, quantity_deducted FROM stock_transactions
    WHERE id < id_before ORDER BY id LIMIT at_most
), taken AS (
    SELECT item_id, sum(quantity_deducted) AS quantity FROM old GROUP BY item_id
), stored AS (
    SELECT item_id, sum(restocks.quantity) AS quantity, max(restocks.created_at) AS created_at
    FROM restocks JOIN taken USING (item_id) WHERE restocks.created_at < ended_before GROUP BY item_id
), balance AS (
    SELECT item_id, CAST(stored.quantity - taken.quantity AS integer) AS quantity, created_at
    FROM taken JOIN stored USING (item_id) WHERE stored.quantity >= taken.quantity
), replaced AS (
    DELETE FROM restocks USING balance
    WHERE restocks.item_id = balance.item_id AND restocks.created_at <= balance.created_at
), opening AS (
    INSERT INTO restocks (id, item_id, quantity, actor, created_at)
    SELECT uuidv7(), item_id, quantity, 'opening balance', created_at FROM balance
), gone AS (
    DELETE FROM stock_transactions USING old, balance
    WHERE stock_transactions.id = old.id AND old.item_id = balance.item_id
    RETURNING stock_transactions.id
)
SELECT count(*) INTO deleted FROM gone;

WITH old AS (
    SELECT order_id FROM reservations
    WHERE order_id < id_before AND decided_at < ended_before
        AND NOT EXISTS (SELECT FROM stock_transactions WHERE stock_transactions.order_id = reservations.order_id)
    ORDER BY order_id LIMIT at_most FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM reservations WHERE order_id IN (SELECT order_id FROM old) RETURNING order_id
)
SELECT deleted + count(*) INTO deleted FROM gone;
"""


def upgrade() -> None:
    create_purge(op, schema=SCHEMA, deletion=_DELETION)


def downgrade() -> None:
    drop_purge(op, schema=SCHEMA)
