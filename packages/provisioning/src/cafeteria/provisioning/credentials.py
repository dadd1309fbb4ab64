"""Creates the secrets once, in files that only their owner can read.

Servers and services receive passwords as files; no command line and no log contains one.
"""

import os
import secrets
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cafeteria.contracts.subjects import SERVICES

ADMIN = "admin"
"""The NATS user of the bootstrap, and the file name of the Postgres administrator's password."""

_PASSWORD_BYTES = 24  # 192 bits: no guess finds it, and its text is safe in URLs and configuration files


class Credentials:
    """Reads the files that `ensure` created."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def ensure(cls, folder: Path) -> "Credentials":
        """Create the missing secrets and keep the existing ones."""
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o700)
        credentials = cls(folder)
        for user in (ADMIN, *SERVICES):
            _write_once(credentials.postgres_file(user), secrets.token_urlsafe(_PASSWORD_BYTES))
            _write_once(credentials.nats_file(user), secrets.token_urlsafe(_PASSWORD_BYTES))
        if not credentials.signing_key_file.exists():
            _write_once(credentials.signing_key_file, _new_signing_key())
        return credentials

    @property
    def folder(self) -> Path:
        return self._folder

    def postgres_file(self, role: str) -> Path:
        return self._folder / f"postgres-{role}"

    def nats_file(self, user: str) -> Path:
        return self._folder / f"nats-{user}"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that `ensure` creates."""
        users = (ADMIN, *SERVICES)
        return (*map(self.postgres_file, users), *map(self.nats_file, users), self.signing_key_file)

    @property
    def signing_key_file(self) -> Path:
        return self._folder / "identity-signing-key.pem"

    def postgres_password(self, role: str) -> str:
        return self.postgres_file(role).read_text().strip()

    def nats_password(self, user: str) -> str:
        return self.nats_file(user).read_text().strip()


def _write_once(path: Path, content: str) -> None:
    """Write the file atomically unless it exists; of two concurrent writers the first one wins."""
    if path.exists():
        return
    descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=path.parent)  # readable by its owner alone
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


def _new_signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
