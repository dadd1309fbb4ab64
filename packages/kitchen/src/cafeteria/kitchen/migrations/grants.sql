-- All rights of the role kitchen on the tables of its schema. They replace what it had, after every migration.
-- UPDATE names the columns that a statement sets or, where it says so, locks by. Tickets and their history are deleted by a function alone, once old.

GRANT SELECT, INSERT,
    UPDATE (status, version, status_times, started_at, station, due_at, completed_at, collected_at,
        confirm_at, gateway_version, notified_version, refusal)
    ON kitchen_orders TO kitchen;

GRANT SELECT ON pickup_key TO kitchen;
GRANT SELECT, INSERT ON order_status_history TO kitchen;

GRANT SELECT, INSERT, UPDATE (is_open, reopens_at, delay_s, changed_by, changed_at) ON intake TO kitchen;

GRANT SELECT, INSERT, DELETE ON outbox TO kitchen;
GRANT SELECT, INSERT, UPDATE (holder, until) ON relay_lease TO kitchen;
GRANT SELECT, INSERT ON dead_letters TO kitchen;

GRANT EXECUTE ON FUNCTION purge_ended TO kitchen;
