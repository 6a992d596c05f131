"""The key of a log, and the newest checkpoint beside it: what must lie outside of the database.

Who can write the database and not this folder can't rewrite the log unnoticed. The key is a file that only
its owner reads, or a program that signs: a key service's client, or a hardware module's. It must never print
a key.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import subprocess
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from avow.errors import EnvironmentFault
from avow.evidence.note import Signer, read_secret, write_secret
from avow.evidence.verifier import ED25519, Invalid, parse_key
from avow.store.server.filelock import open_private, settle, write_private

PROGRAM = "exec:"
"""What a setting begins with that names a program; it is called with `public` or `sign`."""
PROGRAM_S_MAX = 10.0
SEED_BYTES = 32
TURN_S = 0.05
"""How often somebody who waits for the key looks again."""
_SHARED = 0o077


class Keys(Protocol):
    """Where a signer comes from."""

    def signer(self) -> Signer | None:
        """The signer; None where there is none yet."""
        ...

    def make(self, name: str) -> Signer:
        """A signer of this name, which is the log's origin."""
        ...


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key in a file: PRIVATE+KEY+name+id+base64, mode 0600."""

    path: Path

    def signer(self) -> Signer | None:
        """The signer; None where there is no file. Raises EnvironmentFault for a file that others may read,
        or no key."""
        try:
            if self.path.stat().st_mode & _SHARED:
                raise EnvironmentFault(
                    "log-key-shared", f"others may read or write {self.path}", f"chmod 600 {self.path}"
                )
            return read_secret(self.path.read_text("ascii"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise EnvironmentFault(
                "log-key-unreadable",
                f"{self.path} can't be used: {said}",
                "Bring the log's key back, or check AVOW_LOG_KEY.",
            ) from None

    def make(self, name: str) -> Signer:
        """A new key of this name; one that was there is put aside, never overwritten."""
        earlier = self.signer()
        if earlier is not None:
            self.path.rename(self.path.with_name(f"{self.path.name}.{earlier.verifier.id.hex()}"))
        staged = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = open_private(staged, os.O_WRONLY | os.O_EXCL)
            with os.fdopen(descriptor, "w") as out:
                out.write(write_secret(name, secrets.token_bytes(SEED_BYTES)) + "\n")
                out.flush()
                os.fsync(out.fileno())
            try:
                os.link(staged, self.path)  # of two starts at once, one wins
                settle(self.path)
            except FileExistsError:
                pass
            finally:
                staged.unlink()
        except OSError as fault:
            raise EnvironmentFault(
                "home-unwritable",
                f"{self.path} can't be written: {fault.strerror}",
                "Make its folder writable for this account.",
            ) from None
        made = self.signer()
        if made is None:
            raise EnvironmentFault("log-key-unreadable", f"{self.path} is gone again", "Start once more.")
        return made


@dataclass(frozen=True, slots=True)
class KeyProgram:
    """A key that a program signs with: `PROGRAM public` prints the verifier key; `PROGRAM sign` reads what
    is to be signed from standard input, and prints the Ed25519 signature in base64."""

    program: str

    def signer(self) -> Signer | None:
        """The signer. Raises EnvironmentFault where the program fails."""
        try:
            key = parse_key(self._run("public").decode().strip())
        except (Invalid, UnicodeDecodeError) as error:
            raise self._failed(f"it prints no verifier key: {error}") from None
        if key.kind != ED25519:
            raise self._failed("its key isn't an Ed25519 key")
        return Signer(key.name, _Remote(self, key.public))

    def make(self, name: str) -> Signer:
        """The program's own key: it has the name that it was made with."""
        signer = self.signer()
        if signer is None:
            raise self._failed(f"it has no key for {name}")
        return signer

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`."""
        try:
            return b64decode(self._run("sign", data).strip(), validate=True)
        except ValueError:
            raise self._failed("it prints no signature") from None

    def _run(self, verb: str, data: bytes = b"") -> bytes:
        try:
            done = subprocess.run(
                [self.program, verb], input=data, capture_output=True, timeout=PROGRAM_S_MAX, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise self._failed(type(error).__name__) from None
        return done.stdout

    def _failed(self, said: str) -> EnvironmentFault:
        return EnvironmentFault(
            "log-key-program", f"{self.program}: {said}", "Check the program of AVOW_LOG_KEY."
        )


@dataclass(frozen=True, slots=True)
class _Remote:
    """A key in somebody else's hands."""

    program: KeyProgram
    public: bytes

    def sign(self, data: bytes) -> bytes:
        return self.program.sign(data)


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key, and the files beside it: the newest checkpoint that was signed, and the key to check with."""

    keys: Keys
    checkpoint: Path
    public: Path

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Nobody else replaces this key meanwhile; they wait. Whoever signs with it isn't held up."""
        folder = self.checkpoint.parent
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as fault:
            raise EnvironmentFault(
                "log-key-unreadable", f"{folder} can't be used: {fault.strerror}", "Check AVOW_LOG_KEY."
            ) from None
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(TURN_S)
            yield
        finally:
            os.close(descriptor)

    def newest(self) -> bytes | None:
        """The newest checkpoint that was kept here."""
        try:
            return self.checkpoint.read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, note: str) -> None:
        """Keep a checkpoint: whole, or the one before. Raises OSError."""
        write_private(self.checkpoint, note.encode())

    def forget(self) -> None:
        """Put the newest checkpoint aside: it is of a log that has ended."""
        with suppress(FileNotFoundError):
            self.checkpoint.rename(
                self.checkpoint.with_name(f"{self.checkpoint.name}.{secrets.token_hex(4)}")
            )

    def announce(self, signer: Signer) -> None:
        """Leave the key to check with, for anybody. Raises OSError."""
        write_private(self.public, f"{signer.verifier.text}\n".encode())
        self.public.chmod(0o644)


def log_key(setting: str | None, home: Path, name: str) -> LogKey:
    """An application's key by the setting: a file, `exec:PROGRAM`, or nothing: `NAME.log.key` in the home
    folder."""
    if setting and setting.startswith(PROGRAM):
        return LogKey(
            KeyProgram(setting.removeprefix(PROGRAM)),
            home / f"{name}.log.checkpoint",
            home / f"{name}.log.pub",
        )
    path = Path(setting) if setting else home / f"{name}.log.key"
    return LogKey(KeyFile(path), path.with_suffix(".checkpoint"), path.with_suffix(".pub"))
