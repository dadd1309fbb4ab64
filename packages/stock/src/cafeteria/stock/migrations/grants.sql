-- All rights of the role stock on the tables of its schema. They replace what it had, after every migration.
-- UPDATE names the columns that a statement sets or, where it says so, locks by. Items are never deleted; decisions and ledgers by a function alone, once old.

GRANT SELECT, INSERT, UPDATE (name, price, on_sale) ON items TO stock;
GRANT SELECT, INSERT, UPDATE (quantity, version, updated_at) ON inventory TO stock;
GRANT SELECT, INSERT, UPDATE (released_at) ON reservations TO stock;

GRANT SELECT, INSERT ON stock_transactions TO stock;
GRANT SELECT, INSERT ON restocks TO stock;

-- an answer never changes: the purge locks by created_at
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON operations TO stock;

GRANT EXECUTE ON FUNCTION purge_ended TO stock;
