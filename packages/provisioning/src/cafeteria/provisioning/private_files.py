"""Files and folders that only their owner can open, whatever the umask is."""

import os
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


def write_private(path: Path, content: str) -> None:
    """Write the file and close it to everybody but its owner, also where it was open to others until now."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(descriptor, PRIVATE_FILE)
        file.write(content)
