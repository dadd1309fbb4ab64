-- All rights of the role identity on the tables of its schema. They replace what it had, after every migration.
-- UPDATE names the columns that a statement sets or, where it says so, locks by. Accounts and the login audit are never deleted.

GRANT SELECT, INSERT, UPDATE (password_hash, updated_at) ON users TO identity;
GRANT SELECT, INSERT ON login_attempts TO identity;

GRANT SELECT, INSERT, DELETE, UPDATE (started_at, attempts, last_attempt_at, clients) ON login_windows TO identity;
GRANT SELECT, INSERT, DELETE, UPDATE (used_at, successors, revoked_at) ON refresh_tokens TO identity;
