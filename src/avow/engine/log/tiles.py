"""A log as files (c2sp.org/tlog-tiles): bundles of entries, tiles of hashes, and the checkpoint over them.

Every file is written as a whole and, once full, never again; the checkpoint comes last. So whatever breaks
off can be gone on with. Whatever is read is checked: a folder is believed for nothing but what its leaves
come to.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avow.canonical import leaf_hash
from avow.evidence.checkpoint import NO_CHECKPOINT, open_checkpoint
from avow.evidence.merkle import Stack
from avow.evidence.verifier import Checkpoint, Invalid, VerifierKey
from avow.store.server.filelock import flush

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
        """The note of the checkpoint; None where none was written yet. Raises Damaged."""
        return self.content("checkpoint")

    def content(self, name: str) -> bytes | None:
        """What is in a file; None where there is none. Raises Damaged for one that can't be read."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise Damaged(f"{self.path / name} can't be read: {fault.strerror}") from None

    def settle(self) -> None:
        """Have all of it on the disk: what is read may be no more than in memory. Raises Damaged."""
        try:
            for folder, _, names in os.walk(self.path):
                for name in (*names, "."):
                    flush(os.path.join(folder, name))
        except OSError as fault:
            raise Damaged(f"{self.path} can't be written to the disk: {fault.strerror}") from None

    def first(self) -> bytes:
        """The first entry, of a folder that was checked."""
        entries = self.bundle(0, WIDTH)
        if entries is None:
            checkpoint = (self.checkpoint() or b"").split(b"\n")
            entries = self.bundle(0, int(checkpoint[1]))
        if entries is None:
            raise Damaged(f"{self.path} has lost its first entries")
        return entries[0]

    def bundles(self) -> Iterator[list[bytes]]:
        """The full bundles of entries that are there, from the first on. Raises Damaged."""
        number = 0
        while (entries := self.bundle(number, WIDTH)) is not None:
            yield entries
            number += 1

    def bundle(self, number: int, width: int) -> list[bytes] | None:
        """The entries of one bundle; None where it isn't there. Raises Damaged."""
        name = _tile("entries", number, width)
        data = self.content(name)
        if data is None:
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


def epochs_in(folder: Path) -> list[Path]:
    """The folders of the epochs of an export, in their order."""
    found = {path.name.removeprefix("epoch-"): path for path in folder.glob("epoch-*")}
    return [found[name] for name in sorted((name for name in found if name.isdecimal()), key=int)]


def demand_linked(folders: Sequence[Path], keys: Sequence[VerifierKey]) -> None:
    """That folders which were checked one by one are all epochs of one log: each begins with the newest
    checkpoint of the one before, or with a newer one where that was restored. Raises Damaged."""
    numbers = [int(path.name.removeprefix("epoch-")) for path in folders]
    for at, number in enumerate(numbers):
        first = Folder(folders[at]).first() if number > 1 else NO_CHECKPOINT.encode()
        if first == NO_CHECKPOINT.encode():  # of the one before, if there is one, nothing was ever sealed
            continue
        if not at or numbers[at - 1] != number - 1:
            raise Damaged(f"epoch-{number - 1} is missing, from which {folders[at]} goes on")
        before = Folder(folders[at - 1]).checkpoint() or b""
        try:
            last = open_checkpoint(first, keys[at - 1]).checkpoint
            newest = open_checkpoint(before, keys[at - 1]).checkpoint
        except Invalid as error:
            raise Damaged(f"{folders[at]} doesn't go on from {folders[at - 1]}: {error}") from None
        if last.size < newest.size or (last.size == newest.size and last.root != newest.root):
            raise Damaged(f"{folders[at]} goes on from something else than {folders[at - 1]} holds")


def _demand(folder: Folder, level: int, number: int, width: int, content: bytes) -> None:
    name = _tile(level, number, width)
    if folder.content(name) != content:
        raise Damaged(f"{name} is missing, or isn't what the entries come to")


def _tile(level: int | str, number: int, width: int) -> str:
    part = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{place_of(number)}{part}"
