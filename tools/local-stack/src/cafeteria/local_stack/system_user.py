"""Which user of the system runs Postgres: it refuses root, so root lends it a user of its own.

That user reaches neither a private home nor root's temporary folders, and nobody's folders are opened up
for it: what lies out of its reach is put elsewhere instead.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from cafeteria.provisioning.errors import StackError

SYSTEM_DATA = Path("/var/lib/cafeteria")
SYSTEM_CACHE = Path("/var/cache/cafeteria")

_LENT_USER = "nobody"  # every system has it, and initdb insists on a user with a name


@dataclass(frozen=True, kw_only=True)
class SystemUser:
    """A user that a child runs as; uid and gid are -1 for the user that runs this process."""

    uid: int
    gid: int

    @property
    def is_lent(self) -> bool:
        return self.uid >= 0

    def can_reach(self, path: Path) -> bool:
        """Whether this user may pass through every existing folder on the way to `path`, itself included."""
        if not self.is_lent:
            return True
        return all(self._may_enter(folder) for folder in (path, *path.parents) if folder.is_dir())

    def _may_enter(self, folder: Path) -> bool:
        state = folder.stat()
        if state.st_uid == self.uid:
            return bool(state.st_mode & 0o100)
        if state.st_gid == self.gid:
            return bool(state.st_mode & 0o010)
        return bool(state.st_mode & 0o001)

    def own(self, path: Path) -> None:
        if self.is_lent:
            os.chown(path, self.uid, self.gid)


SAME_USER = SystemUser(uid=-1, gid=-1)


def postgres_account(data: Path) -> SystemUser:
    """Who runs Postgres on `data`: under root whoever owns it already, so that data keeps its owner.

    Raises `StackError` for a user without a name, for whom initdb makes nothing.
    """
    if os.geteuid() == 0:
        return _lent_account(data)
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise StackError(
            f"Postgres runs for users with a name only, and user {os.geteuid()} has none in /etc/passwd."
        ) from None
    return SAME_USER


def _lent_account(data: Path) -> SystemUser:
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return SystemUser(uid=owner.st_uid, gid=owner.st_gid)
    user = pwd.getpwnam(_LENT_USER)
    return SystemUser(uid=user.pw_uid, gid=user.pw_gid)
