"""A log as files (c2sp.org/tlog-tiles): bundles of entries, tiles of hashes, and the checkpoint over them.

Every file is written as a whole and, once full, never again; the checkpoint comes last. So whatever breaks
off can be gone on with. Whatever is read is checked: a folder is believed for nothing but what its leaves
come to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avow.canonical import leaf_hash
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.merkle import Stack
from avow.evidence.verifier import Checkpoint, Invalid, VerifierKey

WIDTH = 256
"""How many entries or hashes a full file holds."""
LEVELS = 8
"""How many levels of the tree one level of tiles spans."""
_LENGTH = struct.Struct(">H")


class Damaged(Exception):
    """A file isn't what it must be. Says which, and why."""


def place_of(number: int) -> str:
    """The path of a tile by its number: 1234067 is x001/x234/067."""
    text = f"{number % 1000:03}"
    while number := number // 1000:
        text = f"x{number % 1000:03}/{text}"
    return text


@dataclass(slots=True)
class Tiles:
    """The hashes of a log that aren't in a full tile yet, level by level, while it grows."""

    stack: Stack = field(default_factory=Stack)
    open: dict[int, list[bytes]] = field(default_factory=dict[int, list[bytes]])

    def append(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Append a leaf; gives back the tiles that are full with it: level, number, content."""
        yield from self._add(0, self.stack.size, leaf)
        for (level, place), value in self.stack.append(leaf):
            if not level % LEVELS:
                yield from self._add(level // LEVELS, place, value)

    def _add(self, level: int, place: int, value: bytes) -> Iterator[tuple[int, int, bytes]]:
        held = self.open.setdefault(level, [])
        held.append(value)
        if len(held) == WIDTH:
            self.open[level] = []
            yield level, place // WIDTH, b"".join(held)

    def partial(self) -> Iterator[tuple[int, int, int, bytes]]:
        """The tiles that aren't full: level, number, width, content."""
        for level, held in self.open.items():
            if held:
                yield level, (self.stack.size >> LEVELS * level) // WIDTH, len(held), b"".join(held)


@dataclass(frozen=True, slots=True)
class Folder:
    """One log in a folder."""

    path: Path

    def put(self, name: str, content: bytes) -> None:
        """Write a file as a whole; parents are made."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f"{target.name}.new")
        staged.write_bytes(content)
        staged.replace(target)

    def put_tile(self, level: int | str, number: int, content: bytes, width: int = WIDTH) -> None:
        """Write a tile, or (level `entries`) a bundle of entries; a narrower one under its width."""
        self.put(_tile(level, number, width), content)

    def checkpoint(self) -> bytes | None:
        """The note of the checkpoint; None where none was written yet."""
        try:
            return (self.path / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None

    def bundles(self) -> Iterator[list[bytes]]:
        """The full bundles of entries that are there, from the first on. Raises Damaged."""
        number = 0
        while (entries := self.bundle(number, WIDTH)) is not None:
            yield entries
            number += 1

    def bundle(self, number: int, width: int) -> list[bytes] | None:
        """The entries of one bundle; None where it isn't there. Raises Damaged."""
        name = _tile("entries", number, width)
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        entries, at = list[bytes](), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            entries.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        if len(entries) != width or at != len(data):
            raise Damaged(f"{name} doesn't hold {width} entries")
        return entries


def bundle_of(entries: Sequence[bytes]) -> bytes:
    """Entries as they stand in a bundle: each after its length."""
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def read(folder: Folder, key: VerifierKey) -> Checkpoint:
    """Check a folder against the key of its log: every entry, every tile, the root, the signature. Raises
    Damaged."""
    note = folder.checkpoint()
    if note is None:
        raise Damaged("there is no checkpoint: the export wasn't finished")
    try:
        checkpoint = open_checkpoint(note, key).checkpoint
    except Invalid as error:
        raise Damaged(f"the checkpoint: {error}") from None
    tiles = Tiles()
    for number in range(-(-checkpoint.size // WIDTH)):
        width = min(WIDTH, checkpoint.size - number * WIDTH)
        entries = folder.bundle(number, width)
        if entries is None:
            raise Damaged(f"{_tile('entries', number, width)} is missing")
        for entry in entries:
            for level, place, content in tiles.append(leaf_hash(entry)):
                _demand(folder, level, place, WIDTH, content)
    for level, place, width, content in tiles.partial():
        _demand(folder, level, place, width, content)
    if tiles.stack.root != checkpoint.root:
        raise Damaged(f"its {checkpoint.size:,} entries aren't those that the checkpoint was signed over")
    return checkpoint


def _demand(folder: Folder, level: int, number: int, width: int, content: bytes) -> None:
    name = _tile(level, number, width)
    try:
        same = (folder.path / name).read_bytes() == content
    except FileNotFoundError:
        same = False
    if not same:
        raise Damaged(f"{name} is missing, or isn't what the entries come to")


def _tile(level: int | str, number: int, width: int) -> str:
    part = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{place_of(number)}{part}"
