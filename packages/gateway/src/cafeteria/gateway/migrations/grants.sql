-- All rights of the role gateway on the tables of its schema. They replace what it had, after every migration.
-- UPDATE names the columns that a statement sets or, where it says so, locks by. Orders are deleted by a function alone, once old.

GRANT SELECT, INSERT,
    UPDATE (status, version, status_times, updated_at, lines, total, rejection_reason,
        next_ask_at, next_check_at, kitchen_seen_at, notified_version, released_at)
    ON orders TO gateway;

GRANT SELECT, INSERT, DELETE, UPDATE (response_snapshot, response_status, response_body) ON idempotency_keys TO gateway;

GRANT SELECT, INSERT, DELETE ON outbox TO gateway;
GRANT SELECT, INSERT, UPDATE (holder, until) ON relay_lease TO gateway;
GRANT SELECT, INSERT ON dead_letters TO gateway;

GRANT EXECUTE ON FUNCTION purge_ended TO gateway;
