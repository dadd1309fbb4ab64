-- All rights of the role notification on the tables of its schema. They replace what it had, after every migration.
-- UPDATE names the columns that a statement sets or, where it says so, locks by. The log is deleted by a function alone, once old.

GRANT SELECT, INSERT, UPDATE (delivered_at) ON notifications TO notification;

GRANT SELECT, INSERT, DELETE ON open_orders TO notification;
GRANT SELECT, INSERT, UPDATE (position, stream_epoch, stream_sequence) ON position_counter TO notification;
GRANT SELECT, INSERT ON dead_letters TO notification;

GRANT EXECUTE ON FUNCTION purge_ended TO notification;
