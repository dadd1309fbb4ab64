-- All rights of the role identity on the tables of its schema. They replace what it had, after every migration.
-- UPDATE names the columns that a statement sets or, where it says so, locks by. Accounts are never deleted; the login audit by a
-- function alone, once old.

GRANT SELECT, INSERT, UPDATE (password_hash, one_time_until, full_name, role, disabled_at, updated_at) ON users TO identity;
GRANT SELECT, INSERT ON login_attempts TO identity;
GRANT EXECUTE ON FUNCTION purge_login_attempts TO identity;

GRANT SELECT, INSERT, DELETE, UPDATE (started_at, attempts, last_attempt_at, clients) ON login_windows TO identity;
GRANT SELECT, INSERT, DELETE, UPDATE (started_at, attempts) ON sender_windows TO identity;
GRANT SELECT, INSERT, DELETE, UPDATE (used_at, successors, revoked_at, last_used_at, access_expires_at) ON refresh_tokens TO identity;
