"""Chooses the system user that runs Postgres, which refuses root: under root it is an unprivileged user.

That user cannot enter private folders, and the stack opens no folder for it: it puts data and programs into folders
that the user can reach.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from cafeteria.provisioning.errors import StackError

SYSTEM_DATA = Path("/var/lib/cafeteria")
SYSTEM_CACHE = Path("/var/cache/cafeteria")

_UNPRIVILEGED_USER = "nobody"  # every system has it, and initdb requires a user with a name


@dataclass(frozen=True, kw_only=True)
class SystemUser:
    """The user of a child process; uid and gid are -1 for the user of this process."""

    uid: int
    gid: int

    @property
    def is_other_user(self) -> bool:
        return self.uid >= 0

    def can_reach(self, path: Path) -> bool:
        """Whether this user may enter `path` and every existing folder above it."""
        if not self.is_other_user:
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
        if self.is_other_user:
            os.chown(path, self.uid, self.gid)


SAME_USER = SystemUser(uid=-1, gid=-1)


def postgres_account(data: Path) -> SystemUser:
    """Return the user that runs Postgres on `data`: under root the data's owner, if there is one.

    Raises `StackError` for a user without a name, which initdb refuses.
    """
    if os.geteuid() == 0:
        return _unprivileged_account(data)
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise StackError(
            f"Postgres runs for users with a name only, and user {os.geteuid()} has none in /etc/passwd."
        ) from None
    return SAME_USER


def _unprivileged_account(data: Path) -> SystemUser:
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return SystemUser(uid=owner.st_uid, gid=owner.st_gid)
    user = pwd.getpwnam(_UNPRIVILEGED_USER)
    return SystemUser(uid=user.pw_uid, gid=user.pw_gid)
