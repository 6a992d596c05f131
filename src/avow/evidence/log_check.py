"""A log against its checkpoints: the tree over its leaves is computed again, and must be what was signed.

Pure: it is fed with what is stored, and tells its doubts. It must never believe a root, a node or a signature
that it can compute or check by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.merkle import NODE_LEVELS, Stack
from avow.evidence.verifier import Checkpoint, Invalid, VerifierKey


class Kept(NamedTuple):
    """A checkpoint as the database has it. note: as it was signed. at: when, by the database's clock."""

    size: int
    root: bytes
    note: str
    at: datetime


class Saved(NamedTuple):
    """A checkpoint that was kept outside of the database. where: the file."""

    checkpoint: Checkpoint
    where: str

    @property
    def size(self) -> int:
        """How many leaves it covers."""
        return self.checkpoint.size


class Doubt(NamedTuple):
    """What is wrong with a log: the code of a finding, and words. leaves: among which the fault is."""

    code: str
    detail: str
    leaves: range = range(0)


class LogCheck:
    """Follows one log from its first leaf on. `doubts` grows as it goes; `checkpoints` counts those that
    hold."""

    def __init__(self, key: VerifierKey, saved: Iterable[Saved] = ()) -> None:
        self.doubts = list[Doubt]()
        self.checkpoints = 0
        self._key = key
        self._saved = [one for one in saved if one.checkpoint.origin == key.name]
        self._stack = Stack()
        self._agreed = {"leaves-altered": 0, "log-forked": 0}
        self._differing = set[str]()

    @property
    def size(self) -> int:
        """How many leaves it has seen."""
        return self._stack.size

    @property
    def stack(self) -> list[bytes]:
        """The complete subtrees of what it has seen, largest first."""
        return self._stack.hashes

    @property
    def root(self) -> bytes:
        """The root over what it has seen."""
        return self._stack.root

    def take(
        self, leaves: Sequence[bytes], nodes: Mapping[tuple[int, int], bytes], checkpoints: Iterable[Kept]
    ) -> None:
        """The next leaves, with the nodes that they complete and the checkpoints that end among them."""
        start, end = self.size, self.size + len(leaves)
        due = [one for one in self._saved if start < one.size <= end]
        for stop in sorted(chain(checkpoints, due), key=_size_of):
            self._append(leaves[self.size - start : stop.size - start], nodes)
            if isinstance(stop, Kept):
                self._compare_kept(stop)
            else:
                self._compare_root(stop.checkpoint.root, "log-forked", f"not those of {stop.where}")
        self._append(leaves[self.size - start :], nodes)

    def conclude(self) -> None:
        """There are no more leaves: whatever covers more says that some were cut off."""
        for saved in self._saved:
            if saved.size > self.size:
                detail = f"it has {self.size:,} leaves, and had {saved.size:,} by {saved.where}"
                self.doubts.append(Doubt("log-cut", detail))

    def _append(self, leaves: Sequence[bytes], nodes: Mapping[tuple[int, int], bytes]) -> None:
        for (level, place), value in self._stack.extend(leaves):
            if nodes.get((level // NODE_LEVELS, place)) != value:
                covers = f"leaves {place << level:,} to {(place + 1 << level) - 1:,}"
                self.doubts.append(Doubt("node-altered", f"the node over {covers} isn't theirs"))

    def _compare_kept(self, kept: Kept) -> None:
        """The row's own columns, its note's text and both signatures say the same, and it is this tree's
        root."""
        named = f"checkpoint {kept.size:,}"
        try:
            opened = open_checkpoint(kept.note.encode(), self._key)
        except (Invalid, UnicodeError) as error:
            self.doubts.append(Doubt("checkpoint-altered", f"{named}: {error}"))
            return
        said = (opened.checkpoint.size, opened.checkpoint.root, opened.time)
        if said != (kept.size, kept.root, int(kept.at.timestamp())):
            self.doubts.append(Doubt("checkpoint-altered", f"{named} isn't what its note says"))
        self._compare_root(
            opened.checkpoint.root, "leaves-altered", f"not those that {named} was signed over"
        )

    def _compare_root(self, root: bytes, code: str, said: str) -> None:
        """Of roots that differ, the first is told: what comes after it differs for the same reason."""
        if self._stack.root == root:
            self._agreed[code] = self.size
            self.checkpoints += 1
        elif code not in self._differing:
            self._differing.add(code)
            among = range(self._agreed[code], self.size)
            self.doubts.append(Doubt(code, f"leaves {among.start:,} to {among.stop - 1:,} are {said}", among))


def _size_of(checkpoint: Kept | Saved) -> int:
    return checkpoint.size
