"""Writes files that only their owner can open, independent of the umask."""

import os
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


def write_private(path: Path, content: str) -> None:
    """Write the file and make it readable by its owner alone, even if others could read it before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(descriptor, PRIVATE_FILE)
        file.write(content)
