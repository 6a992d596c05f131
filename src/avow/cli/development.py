"""The surroundings of `avow dev`: database, tables, logins, secrets, tokens, all below `.avow/`."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avow.api.authentication import DEVELOPMENT_ISSUER
from avow.api.bearer import development_token
from avow.cli.home import PRIVATE_KEYS, SECRET_CHARACTERS_MIN, home_folder
from avow.cli.senders import sender_secrets
from avow.engine.privacy import FileKeyring
from avow.errors import EnvironmentFault, UsageError
from avow.model.actor import DEFAULT_TENANT
from avow.model.system import System, keeps_private
from avow.store.pool import connect, with_login
from avow.store.schema.install import create_database, install, login
from avow.store.server import cluster

SECRET_FILE_BYTES = 32
TOKEN_S = 30 * 24 * 3600
"""How long development tokens are valid."""

PLAIN_USER = "user"
"""Who has no role at all, among the development tokens."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is there once development is set up.

    admin_url: a superuser's or owner's login. application_url: what the server uses.
    private_key: where the keys of keys are, if anything is private.
    """

    admin_url: str
    application_url: str
    secret: str
    development_secret: str
    lease: cluster.Lease | None
    private_key: str | None = None

    def environment(self) -> dict[str, str]:
        """The environment of the server process."""
        return {
            **os.environ,
            "AVOW_DATABASE_URL": self.application_url,
            "AVOW_SECRET": self.secret,
            "AVOW_DEVELOPMENT_SECRET": self.development_secret,
            **({} if self.private_key is None else {"AVOW_PRIVATE_KEY": self.private_key}),
        }

    def tokens(self, system: System) -> dict[str, str]:
        """One token for each role that a policy names, and one for a user without roles."""
        found = {role: self.token(f"dev-{role}", frozenset({role})) for role in system.roles}
        return {**found, PLAIN_USER: self.token(f"dev-{PLAIN_USER}", frozenset())}

    def sender_secrets(self, system: System) -> dict[str, str]:
        """The secret that each sender of events signs with here, where no setting gives it another."""
        secrets = sender_secrets(system, self.environment(), development=True)
        return {name: next(iter(by_tenant.values()))[0] for name, by_tenant in secrets.items()}

    def token(self, subject: str, roles: frozenset[str], tenant: str = DEFAULT_TENANT) -> str:
        """A development token for a subject with roles."""
        secret = bytes.fromhex(self.development_secret)
        return development_token(
            DEVELOPMENT_ISSUER, secret, subject, roles, int(time.time()), TOKEN_S, tenant
        )


def set_up(system: System, home: Path, progress: Callable[[str], None]) -> Surroundings:
    """Start or find the database, make or bring up the tables, and have the logins and secrets ready.

    Uses AVOW_DATABASE_URL (a superuser's or owner's) where it is set, else the embedded PostgreSQL.
    """
    with _writable(home):
        home.mkdir(parents=True, exist_ok=True)
    external = os.environ.get("AVOW_DATABASE_URL")
    lease = None if external else cluster.start(home, progress=progress)
    try:
        admin_url = external or (lease.cluster.url(system.name) if lease else "")
        server_url = None if lease is None else lease.cluster.url()
        name, password = f"{system.name}_dev", kept_secret(home / f"{system.name}_dev.password", 18)
        progress("tables")
        asyncio.run(_make(system, admin_url, server_url, name, password))
    except BaseException:
        if lease is not None:
            lease.release()
        raise
    return Surroundings(
        admin_url=admin_url,
        application_url=with_login(admin_url, name, password),
        secret=kept_secret(home / "secret", SECRET_FILE_BYTES),
        development_secret=kept_secret(home / "development_secret", SECRET_FILE_BYTES),
        lease=lease,
        private_key=private_key(system, home),
    )


def private_key(system: System, home: Path) -> str | None:
    """Where the keys of keys are: as it is set, or a file that is made here; None: nothing is private."""
    if not keeps_private(system):
        return None
    place = os.environ.get("AVOW_PRIVATE_KEY")
    if place:
        return place
    with _writable(home / PRIVATE_KEYS):
        return str(FileKeyring.made(home / PRIVATE_KEYS).file)


async def _make(system: System, admin_url: str, server_url: str | None, name: str, password: str) -> None:
    if server_url is not None:
        connection = await connect(server_url)
        try:
            await create_database(connection, system.name)
        finally:
            await connection.close()
    connection = await connect(admin_url)
    try:
        await install(connection, system)
        await login(connection, system, name, password)
    finally:
        await connection.close()


def service_secret() -> bytes:
    """The secret of the service: its setting, or what `avow dev` has kept. Raises UsageError for neither."""
    held = os.environ.get("AVOW_SECRET", "")
    if not held:
        file = home_folder(os.environ) / "secret"
        if file.is_file():
            held = kept_secret(file, SECRET_FILE_BYTES)
    if len(held) < SECRET_CHARACTERS_MIN:
        raise UsageError(
            f"AVOW_SECRET has fewer than {SECRET_CHARACTERS_MIN} characters",
            "Set it to the secret of the server, or run `avow dev` here first.",
        )
    return held.encode()


def kept_secret(file: Path, size_bytes: int) -> str:
    """A random secret in hexadecimal, made once and kept in a file that only its owner reads."""
    with _writable(file):
        return _kept_secret(file, size_bytes)


@contextmanager
def _writable(path: Path) -> Generator[None]:
    """What the system refuses, in words that say what to do."""
    try:
        yield
    except OSError as fault:
        raise EnvironmentFault(
            "home-unwritable",
            f"{path} can't be written: {fault.strerror}.",
            "Make the folder writable for this account, or set AVOW_HOME to another one.",
        ) from None


def _kept_secret(file: Path, size_bytes: int) -> str:
    for _ in range(2):
        try:
            held = file.read_text("ascii").strip()
            if len(held) == 2 * size_bytes:
                return held
        except FileNotFoundError:
            pass
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_hex(size_bytes))
        try:
            os.link(fresh, file)  # of two starts at once, one wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text("ascii").strip()
