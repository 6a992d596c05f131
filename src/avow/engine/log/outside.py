"""What is known of a log from outside of its database: keys, and checkpoints that somebody has saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from avow.engine.log.key import LogKey
from avow.engine.verify import Outside
from avow.errors import UsageError
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.log_check import Saved
from avow.evidence.verifier import Invalid, VerifierKey, parse_key


def known_outside(key: LogKey, checkpoints: Iterable[Path], keys: Iterable[str]) -> Outside:
    """What lies beside the log's key, as far as it is here, and what was given: files of checkpoints, keys
    or files of them.

    Raises UsageError for what can't be read, and for a checkpoint that none of the keys has signed.
    """
    known = [found for given in keys for found in keys_in(given)] or _kept_keys(key)
    saved = [_saved(_read(path), str(path), known) for path in checkpoints]
    kept = key.newest()
    if kept is not None and any(kept.startswith(f"{one.name}\n".encode()) for one in known):
        saved.append(_saved(kept, str(key.checkpoint), known))
    return Outside(known, saved)


def _kept_keys(key: LogKey) -> list[VerifierKey]:
    return list(keys_in(str(key.public))) if key.public.is_file() else []


def keys_in(given: str) -> Iterator[VerifierKey]:
    """A key as it is written, or all keys of a file, one a line. Raises UsageError."""
    try:
        text = Path(given).read_text("utf-8") if "+" not in given or Path(given).is_file() else given
        for line in text.split("\n"):
            if line.strip():
                yield parse_key(line.strip())
    except (OSError, ValueError, Invalid) as error:
        raise UsageError(
            f"{given[:60]} isn't a key: {error}", "Name the log's .pub file, or write NAME+ID+KEY."
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        mend = "Name a file that `avow log checkpoint` wrote."
        raise UsageError(f"{path} can't be read: {error.strerror}", mend) from None


def _saved(note: bytes, where: str, known: Iterable[VerifierKey]) -> Saved:
    said = "no key is known to check it with"
    for key in known:
        if note.startswith(f"{key.name}\n".encode()):
            try:
                return Saved(open_checkpoint(note, key).checkpoint, where)
            except Invalid as error:
                said = str(error)
    raise UsageError(f"{where} isn't a checkpoint of this log: {said}", "Give its key with --key.")
