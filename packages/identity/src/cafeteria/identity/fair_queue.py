"""A bounded queue that serves shares in turn: a flood in one share delays its own entries, not those of others.

Each share has a line of its own. Shares of known devices and of all others alternate, and within each kind the shares
take turns. In a full queue the longest line loses its newest entry.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of a line: a student id that is signed in or uses a known device, or else a client's network."""

    name: str
    is_known: bool


class FairQueue(Generic[T]):
    """Lines of entries; no line is empty. `limit` is the number of entries in all lines together."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._lines: dict[bool, OrderedDict[Share, deque[T]]] = {True: OrderedDict(), False: OrderedDict()}
        self._known_is_next = True

    def __len__(self) -> int:
        return sum(len(line) for lines in self._lines.values() for line in lines.values())

    def push(self, entry: T, share: Share) -> T | None:
        """Add an entry to its share's line. Return the entry that does not fit any more, which may be the same."""
        self._lines[share.is_known].setdefault(share, deque()).append(entry)
        return self._drop(newcomer=share) if len(self) > self._limit else None

    def pop(self) -> T:
        """Remove and return the entry whose turn it is. Raises KeyError if the queue is empty."""
        is_known = bool(self._lines[True]) and (self._known_is_next or not self._lines[False])
        self._known_is_next = not is_known
        lines = self._lines[is_known]
        share, line = lines.popitem(last=False)
        entry = line.popleft()
        if line:
            lines[share] = line
        return entry

    def remove(self, entry: T, share: Share) -> None:
        """Remove an entry whose owner does not wait any more; one that is not there is fine."""
        line = self._lines[share.is_known].get(share, deque())
        if entry in line:
            line.remove(entry)
            self._forget_if_empty(share, line)

    def _drop(self, *, newcomer: Share) -> T:
        """Remove the newest entry of the longest line; of equal ones, an unknown share's, and rather the newcomer's."""
        lines = {**self._lines[True], **self._lines[False]}
        longest = max(lines, key=lambda share: (len(lines[share]), not share.is_known, share == newcomer))
        entry = lines[longest].pop()
        self._forget_if_empty(longest, lines[longest])
        return entry

    def _forget_if_empty(self, share: Share, line: deque[T]) -> None:
        if not line:
            del self._lines[share.is_known][share]
