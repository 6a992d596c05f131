"""The keys of keys: what the keys of persons are encrypted with. They are kept outside of every database.

In a file that only the service reads, or in whatever the owner's own keyring asks: a service for keys.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from avow.engine.privacy.cipher import (
    KEY_BYTES,
    NONCE_BYTES,
    Encrypted,
    Unreadable,
    decrypt,
    encrypt,
    new_key,
)
from avow.errors import EnvironmentFault
from avow.store.server.filelock import settle

_TITLE: Final = "avow private keys 1"


class Keyring(Protocol):
    """Encrypts keys with its current key of keys, and decrypts them with any that it has."""

    @property
    def current(self) -> str:
        """The name of the key that `wrap` uses now."""
        ...

    def wrap(self, key: bytes, context: bytes) -> tuple[str, bytes]:
        """The name of the current key, and `key` encrypted with it for this context."""
        ...

    def unwrap(self, name: str, wrapped: bytes, context: bytes) -> bytes:
        """The key. Raises EnvironmentFault where the named key isn't there, or didn't wrap this."""
        ...


class _Held(NamedTuple):
    """What stood in the file, and which state of it that was."""

    stamp: tuple[int, int]
    keys: Mapping[str, bytes]


class FileKeyring:
    """Keys of keys in a file: a title, then a key a line, name and 32 bytes in base64, the newest first.

    It is read again when it has changed, so that servers follow a rotation without being started again.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._held = _read(file)

    @classmethod
    def made(cls, file: Path) -> FileKeyring:
        """As it is, or with a first key where there is no file yet. Of two starts at once, one wins."""
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh = file.with_name(f"{file.name}.{os.getpid()}")
            _write(fresh, {_new_name(): new_key()})
            try:
                os.link(fresh, file)
                settle(file)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return cls(file)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that there are, the current one first."""
        return tuple(self._fresh().keys)

    @property
    def current(self) -> str:
        return self.names[0]

    def wrap(self, key: bytes, context: bytes) -> tuple[str, bytes]:
        name, own = next(iter(self._fresh().keys.items()))
        made = encrypt(own, key, context)
        return name, made.nonce + made.ciphertext

    def unwrap(self, name: str, wrapped: bytes, context: bytes) -> bytes:
        own = self._held.keys.get(name) or self._fresh().keys.get(name)
        if own is None:
            raise EnvironmentFault(
                "private-key-missing",
                f"{self.file} has no key {name[:40]}, with which private values are kept",
                "Put the file in place that this database was used with.",
            )
        try:
            return decrypt(own, Encrypted(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]), context)
        except Unreadable:
            raise EnvironmentFault(
                "private-key-wrong",
                f"a key of a person can't be decrypted with the key {name[:40]}",
                "Check who has edited avow.subject_key; restore it.",
            ) from None

    def add(self) -> str:
        """Put a new key before all others; its name."""
        name = _new_name()
        self._change(lambda held: {name: new_key(), **held})
        return name

    def drop(self, name: str) -> None:
        """Destroy a key, in this file."""
        self._change(lambda held: {known: key for known, key in held.items() if known != name})

    def _change(self, changed: Callable[[Mapping[str, bytes]], Mapping[str, bytes]]) -> None:
        """Replace the file, and take no key from it that somebody else has put there in the same moment."""
        fresh = self.file.with_name(f"{self.file.name}.new")
        with _alone(self.file):
            held = _read(self.file)
            _write(fresh, changed(held.keys), self.file)
            fresh.replace(self.file)
            settle(self.file)
            self._held = _read(self.file)

    def _fresh(self) -> _Held:
        if _stamp(self.file) != self._held.stamp:
            self._held = _read(self.file)
        return self._held


class MemoryKeyring:
    """A key of keys that nobody keeps: for tests, whose data nobody reads afterwards."""

    def __init__(self) -> None:
        self._key = new_key()

    @property
    def current(self) -> str:
        return "memory"

    def wrap(self, key: bytes, context: bytes) -> tuple[str, bytes]:
        made = encrypt(self._key, key, context)
        return self.current, made.nonce + made.ciphertext

    def unwrap(self, name: str, wrapped: bytes, context: bytes) -> bytes:
        return decrypt(self._key, Encrypted(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]), context)


def _new_name() -> str:
    return secrets.token_hex(4)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError as fault:
        raise _unusable(file, fault.strerror or "it can't be read") from None
    return found.st_mtime_ns, found.st_ino


def _read(file: Path) -> _Held:
    stamp = _stamp(file)
    if file.stat().st_mode & 0o077:
        raise _unusable(file, "others than its owner may read it")
    try:
        title, *lines = file.read_text("ascii", "replace").splitlines() or [""]
    except OSError as fault:
        raise _unusable(file, fault.strerror or "it can't be read") from None
    keys = dict[str, bytes]()
    try:
        for line in lines:
            name, encoded = line.split()
            keys[name] = b64decode(encoded, validate=True)
    except ValueError:
        keys.clear()
    if title != _TITLE or not keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise _unusable(file, "it isn't a file of private keys")
    return _Held(stamp, keys)


@contextmanager
def _alone(file: Path) -> Generator[None]:
    """Nobody else changes a file in this folder meanwhile; whoever only reads isn't held up."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, keys: Mapping[str, bytes], instead_of: Path | None = None) -> None:
    """All of it on the disk before it takes its place: a key that is lost can't be had again.

    Whoever may read the file that it is written instead of may read this one: the service, where an operator
    who is root changes it.
    """
    lines = [_TITLE, *(f"{name} {b64encode(key).decode()}" for name, key in keys.items())]
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        if instead_of is not None and os.geteuid() == 0:
            was = instead_of.stat()
            os.fchown(descriptor, was.st_uid, was.st_gid)
        out.write("\n".join(lines) + "\n")
        out.flush()
        os.fsync(out.fileno())


def _unusable(file: Path, reason: str) -> EnvironmentFault:
    return EnvironmentFault(
        "private-key-missing",
        f"{file} can't be used for private values: {reason}",
        "Name a file of private keys in AVOW_PRIVATE_KEY, readable by the service alone (chmod 600).",
    )
