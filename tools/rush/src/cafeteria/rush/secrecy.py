"""I12: searches the logs of all processes for passwords, tokens, keys and lines of the secrets' files."""

import mmap
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ahocorasick_rs import BytesAhoCorasick

from cafeteria.provisioning.demo_data import PASSWORD

SHORTEST = 16  # characters; shorter lines of a secrets file are punctuation of its format
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}")
"""The pattern with which every signed token begins."""
KEY = b"PRIVATE KEY-----"


def leaks(logs: Path, *, secrets: Path, tokens: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each secret in each log, without the secret itself."""
    descriptions = {secret: f"a line of {path.name}" for path in _files(secrets) for secret in _lines(path)}
    descriptions |= {token.encode(): "a student's token" for token in tokens}
    descriptions |= {PASSWORD.encode(): "the students' password", KEY: "a private key"}
    search = BytesAhoCorasick(list(descriptions))
    for log in _files(logs):
        if log.stat().st_size:
            yield from _leaks_of(log, search, list(descriptions.values()))


def _leaks_of(log: Path, search: BytesAhoCorasick, kinds: list[str]) -> Iterator[str]:
    """Search for all secrets in one pass: there are thousands of them, and hundreds of megabytes of log."""
    with log.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        first: dict[int, int] = {}
        for secret, place, _ in search.find_matches_as_indexes(memoryview(content), overlapping=True):
            first.setdefault(secret, place)
        for secret, place in first.items():
            yield f"{log.name} holds {kinds[secret]} at byte {place}"
        if found := TOKEN.search(content):
            yield f"{log.name} holds a signed token at byte {found.start()}"


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _lines(path: Path) -> Iterator[bytes]:
    for line in path.read_bytes().splitlines():
        if len(line.strip()) >= SHORTEST and not line.startswith(b"-----"):
            yield line.strip()
