"""What was handed out of a sealed world: receipts, and the log as files. Each is corrupted in some way, and
whoever has the log's key must notice without the database."""

from __future__ import annotations

import hashlib
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from avow.canonical import decode, encode
from avow.engine.log.export import export
from avow.engine.log.tiles import Damaged, Folder, bundle_of, read
from avow.evidence.checkpoint import sign
from avow.evidence.note import SecretKey, Signer
from avow.evidence.receipt import write_receipt
from avow.evidence.verifier import Checkpoint, Invalid, VerifierKey, believing, parse_receipt, verify
from avow.store.log.reads import LogReads
from bench.corruptions.world import World

RECEIPTS = 24


@dataclass(frozen=True)
class Handed:
    """The key that somebody has, receipts by their records, the folder of an export, an older checkpoint."""

    key: VerifierKey
    receipts: Mapping[str, bytes]
    export: Path
    older: bytes


Corrupt: TypeAlias = Callable[[Handed, Random], "str | None"]
"""Corrupts one thing; gives back why it was found, None where it wasn't."""


async def hand_out(world: World, folder: Path) -> Handed:
    """Issue receipts, and export the log."""
    reads, [key] = LogReads.on(world.admin), world.outside.keys
    newest, first = await reads.newest_checkpoint(1), await reads.checkpoint_over(1, 100)
    if newest is None or first is None:
        raise ValueError("the world isn't sealed")
    rows = await world.admin.fetch(
        "SELECT l.id, l.index, a.header FROM avow.leaf l JOIN avow.audit a USING (entry)"
        " WHERE l.kind = 'Enrollment' AND l.version = 2 ORDER BY l.index LIMIT $1", RECEIPTS,
    )  # fmt: skip
    receipts = dict[str, bytes]()
    for record, index, header in rows:
        proof = await reads.inclusion(1, index, newest.size)
        made = write_receipt("state = submitted", header, index, proof, newest.note).encode()
        verify(made, believing([key]))
        receipts[str(record)] = made
    await export(world.admin, folder, _silent)
    read(Folder(folder / "epoch-1"), key)
    return Handed(key, receipts, folder / "epoch-1", first.note.encode())


def _silent(done: int, total: int) -> None:
    """Nobody looks at how far it is."""


def flipped(data: bytes, chance: Random) -> bytes:
    """The same bytes with one bit turned over."""
    place = chance.randrange(8 * len(data))
    held = bytearray(data)
    held[place // 8] ^= 1 << place % 8
    return bytes(held)


def _receipt(change: Callable[[Handed, bytes, Random], bytes]) -> Corrupt:
    """One receipt, changed."""

    def corrupt(handed: Handed, chance: Random) -> str | None:
        data = change(handed, handed.receipts[chance.choice([*handed.receipts])], chance)
        try:
            verify(data, believing([handed.key]))
        except Invalid as error:
            return str(error)
        return None

    return corrupt


def _extra(data: bytes, **changes: str) -> bytes:
    line = data.split(b"\n")[1]
    held = decode(b64decode(line.removeprefix(b"extra ")))
    return data.replace(line, b"extra " + b64encode(encode({**held, **changes})))


def _another_entry(handed: Handed, data: bytes, chance: Random) -> bytes:
    """The entry of another record, in this one's place."""
    others = [other for other in handed.receipts.values() if other != data]
    return data.replace(data.split(b"\n")[1], chance.choice(others).split(b"\n")[1])


def _another_claim(_: Handed, data: bytes, __: Random) -> bytes:
    """What never was, with its hash."""
    claim = "state = approved"
    return _extra(data, claim=claim, claim_sha256=hashlib.sha256(claim.encode()).hexdigest())


def _another_header(_: Handed, data: bytes, __: Random) -> bytes:
    """An entry that was never sealed."""
    header = parse_receipt(data).header.decode()
    return _extra(data, header=header.replace('"subject":"', '"subject":"x'))


def _older_checkpoint(handed: Handed, data: bytes, _: Random) -> bytes:
    """A checkpoint that the log did sign, but which this proof doesn't lead to."""
    return data.partition(b"\n\n")[0] + b"\n\n" + handed.older


def _another_key(handed: Handed, data: bytes, chance: Random) -> bytes:
    """The checkpoint as somebody signs it who calls himself like the log."""
    lines = parse_receipt(data).note.decode().split("\n")
    signer = Signer(handed.key.name, SecretKey(chance.randbytes(32)))
    note = sign(Checkpoint(lines[0], int(lines[1]), b64decode(lines[2])), signer, 1_700_000_000)
    return data.partition(b"\n\n")[0] + b"\n\n" + note.encode()


def _file(pattern: str, change: Callable[[Handed, Path, Random], None]) -> Corrupt:
    """One file of the export, changed, and then as it was."""

    def corrupt(handed: Handed, chance: Random) -> str | None:
        path = chance.choice(sorted(found for found in handed.export.glob(pattern) if found.is_file()))
        spare = path.with_name("spare")
        shutil.copyfile(path, spare)
        try:
            change(handed, path, chance)
            read(Folder(handed.export), handed.key)
        except Damaged as damage:
            return str(damage)
        finally:
            spare.replace(path)
        return None

    return corrupt


def _bit(_: Handed, path: Path, chance: Random) -> None:
    path.write_bytes(flipped(path.read_bytes(), chance))


def _gone(_: Handed, path: Path, __: Random) -> None:
    path.unlink()


def _entries(change: Callable[[list[bytes], Random], None]) -> Callable[[Handed, Path, Random], None]:
    """The entries of a full bundle, changed."""

    def corrupt(handed: Handed, path: Path, chance: Random) -> None:
        entries = Folder(handed.export).bundle(0, 256) or []
        change(entries, chance)
        path.write_bytes(bundle_of(entries))

    return corrupt


def _swap(entries: list[bytes], chance: Random) -> None:
    one, two = chance.sample(range(len(entries)), 2)
    entries[one], entries[two] = entries[two], entries[one]


def _replay(entries: list[bytes], chance: Random) -> None:
    one, two = chance.sample(range(len(entries)), 2)
    entries[one] = entries[two]


def _checkpoint_of_before(handed: Handed, path: Path, _: Random) -> None:
    path.write_bytes(handed.older)


HANDED: Final[Mapping[str, Corrupt]] = {
    "a bit of a receipt": _receipt(lambda _, data, chance: flipped(data, chance)),
    "a receipt of another's entry": _receipt(_another_entry),
    "a receipt of what never was": _receipt(_another_claim),
    "a receipt of an entry, forged": _receipt(_another_header),
    "a receipt with an older checkpoint": _receipt(_older_checkpoint),
    "a receipt by another key": _receipt(_another_key),
    "a bit of a bundle of entries": _file("tile/entries/**/*", _bit),
    "a bundle of entries, gone": _file("tile/entries/**/*", _gone),
    "two entries of a bundle, swapped": _file("tile/entries/000", _entries(_swap)),
    "an entry of a bundle, replayed": _file("tile/entries/000", _entries(_replay)),
    "a bit of a tile": _file("tile/[0-9]/**/*", _bit),
    "a tile, gone": _file("tile/[0-9]/**/*", _gone),
    "a bit of the checkpoint of an export": _file("checkpoint", _bit),
    "the checkpoint of an export, an older one": _file("checkpoint", _checkpoint_of_before),
    "the checkpoint of an export, gone": _file("checkpoint", _gone),
}
"""Every sort of what is done outside of the database, by its name."""
