"""An exported log as Parquet files, for whoever wants to count and compare: a row for each entry.

They are made of the files that hold the log (`engine.log.tiles`), and checked like these: each row has the
bytes of its entry, all of them must come to the root that was signed, and every other column must be what
those bytes say. It needs `pyarrow`, which isn't installed with Avow: only who asks for it imports this
module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from avow.canonical import encode_trusted, leaf_hash
from avow.engine.log.tiles import WIDTH, Damaged, Folder
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.merkle import Stack
from avow.evidence.verifier import Checkpoint, Invalid, VerifierKey

# The package has no types that a checker could read.
_arrow: Any = import_module("pyarrow")
_files: Any = import_module("pyarrow.parquet")
_compute: Any = import_module("pyarrow.compute")

ROWS_MAX: Final = 128 * WIDTH
"""How many entries one file holds: some ten megabytes."""
PLACE: Final = "parquet"
CHECKPOINT: Final = f"{PLACE}/_checkpoint"
"""The copy of the checkpoint that the files are of; it comes last."""
_ROOT: Final = b"avow.root"
"""The name under which a file states the root over its own entries."""

_AS_THEY_STAND: Final = (
    "tenant", "kind", "id", "transition", "from", "to", "command", "request", "boundary",
)  # fmt: skip
"""What of a header is a column as it stands."""
_WORD: Any = _arrow.dictionary(_arrow.int32(), _arrow.string())
_SCHEMA: Any = _arrow.schema(
    [
        ("leaf", _arrow.int64()), ("tenant", _WORD), ("kind", _WORD), ("id", _arrow.string()),
        ("version", _arrow.int64()), ("transition", _WORD), ("from", _WORD), ("to", _WORD),
        ("at", _arrow.timestamp("us", "UTC")), ("subject", _arrow.string()),
        ("roles", _arrow.list_(_arrow.string())), ("command", _arrow.string()), ("request", _arrow.string()),
        ("cause_kind", _WORD), ("cause_id", _arrow.string()), ("cause_version", _arrow.int64()),
        ("boundary", _WORD), ("input", _arrow.string()), ("changes", _arrow.string()),
        ("entry", _arrow.binary()),
    ]
)  # fmt: skip


def write(folder: Folder, key: VerifierKey, progress: Callable[[int, int], None]) -> int:
    """Write the Parquet files of an export beside it; gives back how many were there already.

    Raises Damaged where the export isn't what its checkpoint was signed over; nothing says then that the
    files are whole.
    """
    checkpoint, note = _checkpoint(folder, "checkpoint", key)
    whole, kept = Stack(), 0
    for number, entries in enumerate(_exported(folder, checkpoint.size)):
        leaves = [leaf_hash(entry) for entry in entries]
        part = Stack()
        part.extend(leaves)
        name, first = _name(number), whole.size
        whole.extend(leaves)
        if _is_whole(folder, name) and _stated(folder.path / name) == part.root:
            kept += 1
        else:
            table = _table(entries, first).replace_schema_metadata({_ROOT: part.root.hex()})
            sink = _arrow.BufferOutputStream()
            _files.write_table(table, sink, compression="zstd")
            content = sink.getvalue().to_pybytes()
            folder.put(name, content)
            folder.put(_sum_of(name), _sum(name, content))
        progress(whole.size, checkpoint.size)
    _demand_root(whole, checkpoint)
    folder.put(CHECKPOINT, note)
    return kept


def check(folder: Folder, key: VerifierKey) -> Checkpoint:
    """Check Parquet files against the key of their log: every entry and column, the root. Raises Damaged."""
    checkpoint, _ = _checkpoint(folder, CHECKPOINT, key)
    whole = Stack()
    for number in range(-(-checkpoint.size // ROWS_MAX)):
        name = _name(number)
        if not _is_whole(folder, name):
            raise Damaged(f"{name} is missing, or isn't what its sum was taken of")
        try:
            held = _files.read_table(folder.path / name, memory_map=False)
            entries: list[bytes] = held.column("entry").to_pylist()
        except (OSError, KeyError, _arrow.ArrowException) as error:
            raise Damaged(f"{name} can't be read: {type(error).__name__}") from None
        if not held.equals(_table(entries, whole.size)):
            raise Damaged(f"{name} says something else than its entries")
        if not _is_bounded(folder.path / name, held):
            raise Damaged(f"{name} states bounds that its own rows aren't within")
        whole.extend([leaf_hash(entry) for entry in entries])
    _demand_root(whole, checkpoint)
    return checkpoint


def _checkpoint(folder: Folder, name: str, key: VerifierKey) -> tuple[Checkpoint, bytes]:
    try:
        note = folder.content(name)
        if note is None:
            raise Damaged(f"{folder.path / name} isn't there: it wasn't finished")
        return open_checkpoint(note, key).checkpoint, note
    except Invalid as error:
        raise Damaged(f"{folder.path / name}: {error}") from None


def _demand_root(whole: Stack, checkpoint: Checkpoint) -> None:
    if (whole.size, whole.root) != (checkpoint.size, checkpoint.root):
        raise Damaged(f"the {whole.size:,} entries aren't those that the checkpoint was signed over")


def _exported(folder: Folder, size: int) -> Iterator[list[bytes]]:
    """The entries of an export, as many as a file holds at a time."""
    for first in range(0, size, ROWS_MAX):
        entries = list[bytes]()
        for start in range(first, min(size, first + ROWS_MAX), WIDTH):
            bundle = folder.bundle(start // WIDTH, min(WIDTH, size - start))
            if bundle is None:
                raise Damaged(f"{folder.path}: entries {start:,} and on are missing")
            entries += bundle
        yield entries


def _stated(path: Path) -> bytes | None:
    """The root that a file states of itself; None where there is none that can be read."""
    try:
        return bytes.fromhex(_files.read_schema(path).metadata[_ROOT].decode())
    except (OSError, KeyError, TypeError, ValueError, _arrow.ArrowException):
        return None


def _sum_of(name: str) -> str:
    """Where the sum of a file lies; who reads the folder as one table passes over names with that sign."""
    return f"{PLACE}/_{Path(name).name}.sha256"


def _sum(name: str, content: bytes) -> bytes:
    """The line that `sha256sum --check` reads."""
    return f"{hashlib.sha256(content).hexdigest()}  {Path(name).name}\n".encode()


def _is_whole(folder: Folder, name: str) -> bool:
    """Whether a file is, byte for byte, what was written; not all of its bytes are read with its rows."""
    content, stated = folder.content(name), folder.content(_sum_of(name))
    return content is not None and stated == _sum(name, content)


def _is_bounded(path: Path, held: Any) -> bool:
    """Whether what a file states of each column is so: a program that is asked for some rows passes over a
    file by the smallest and largest values that it states, and by how many it says are missing."""
    stated: Any = _files.read_metadata(path)
    if stated.num_row_groups != 1:
        return False
    return all(
        _fits(stated.row_group(0).column(place).statistics, column)
        for place, column in enumerate(held.columns)
    )


def _fits(stated: Any, column: Any) -> bool:
    if stated is None:
        return True
    listed = _arrow.types.is_list(column.type)
    plain = _compute.list_flatten(column) if listed else column
    if _arrow.types.is_dictionary(plain.type):
        plain = plain.cast(plain.type.value_type)
    found: Any = _compute.min_max(plain).as_py()
    if not listed and stated.has_null_count and stated.null_count != plain.null_count:
        return False
    if not stated.has_min_max or found["min"] is None:
        return found["min"] is None or not stated.has_min_max
    return stated.min <= found["min"] and found["max"] <= stated.max


def _name(number: int) -> str:
    return f"{PLACE}/entries-{number:06}.parquet"


def _table(entries: Sequence[bytes], first: int) -> Any:
    """Entries as columns, from the leaf `first` on."""
    rows = [_row(leaf, entry) for leaf, entry in enumerate(entries, first)]
    columns = {name: [row.get(name) for row in rows] for name in _SCHEMA.names}
    return _arrow.table(columns, schema=_SCHEMA)


def _row(leaf: int, entry: bytes) -> dict[str, Any]:
    """What an entry says, column by column; of a leaf that is no entry only its bytes."""
    row: dict[str, Any] = {"leaf": leaf, "entry": entry}
    try:
        header: Any = json.loads(entry)
        row |= _columns(header)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"leaf": leaf, "entry": entry}
    return row


def _columns(header: Mapping[str, Any]) -> dict[str, Any]:
    cause: Mapping[str, Any] = header["cause"] or {}
    actor = header["actor"]
    long = {name: {"sha256": sha} for name, sha in header.get("changes_sha256", {}).items()}
    given = {name: {"sha256": sha} for name, sha in header.get("input_sha256", {}).items()}
    return {
        **{name: header[name] for name in _AS_THEY_STAND},
        "version": header["ver"], "at": datetime.fromisoformat(header["at"]),
        "subject": actor["subject"], "roles": actor["roles"],
        "cause_kind": cause.get("kind"), "cause_id": cause.get("id"), "cause_version": cause.get("ver"),
        "input": encode_trusted({**header["input"], **given}).decode(),
        "changes": encode_trusted({**header["changes"], **long}).decode(),
    }  # fmt: skip
