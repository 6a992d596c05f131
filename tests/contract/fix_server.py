"""Real servers for tests: a process of its own on a database of its own, and clients that act as somebody.

    def test_something(venue: Tenancy) -> None:
        ann = venue.actor("ann", "clerk")               # a subject with roles, in this test's own tenant
        room = ann.create("/rooms", {"name": "A", "places": 3})
        answer = ann.post(f"{room.path}/retire")        # with a fresh Idempotency-Key

`venue` and `enrollment` are shared by the whole session; each test has a tenant of its own. `spare` gives a
server that the test may kill. The socket is opened here and inherited, so that the address outlives a kill.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from avow.api.authentication import DEVELOPMENT_ISSUER
from avow.api.bearer import development_token
from avow.api.serving import listen, url_of
from avow.cli.target import load_target
from avow.model.system import System
from avow.store.driver import Connection
from avow.store.pool import connect
from avow.store.schema.install import create_database, install, login
from avow.store.server.cluster import Cluster
from tests.acceptance.forked import Forked
from tests.acceptance.polling import until
from tests.fix_database import with_login
from tests.waiting import WAITS

ROOT = Path(__file__).resolve().parents[2]
ENROLLMENT = ROOT / "examples" / "enrollment"
VENUE = ROOT / "tests" / "contract" / "systems" / "venue.py"
MODULE = "avow.cli.server_process"
READY_S_MAX = 60.0
ANSWER_S_MAX = 60.0
TOKEN_S = 3600
WAITING = f"""
SELECT count(*) >= $1 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'avow' AND pid <> pg_backend_pid() AND {WAITS}
"""
PASSWORD = "of a test"

Json: TypeAlias = Any
Response: TypeAlias = httpx2.Response


@dataclass
class Database:
    """One database with the tables of a system, and superuser sessions on it."""

    system: System
    admin_url: str
    application_url: str
    portal: BlockingPortal

    @contextmanager
    def session(self, url: str = "") -> Generator[Session]:
        """A session of a superuser, or of another login."""
        connection = self.portal.call(connect, url or self.admin_url)
        try:
            yield Session(self.portal, connection)
        finally:
            connection.terminate()

    def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        """The rows of one statement, as a superuser, who sees all tenants."""
        with self.session() as session:
            return session.fetch(sql, *parameters)

    def wait_until(self, sql: str, *parameters: Any, what: str) -> None:
        """Wait until the statement's first value is true."""

        async def asked() -> bool | None:
            return bool(await connection.fetchval(sql, *parameters)) or None

        with self.session() as session:
            connection = session.connection
            self.portal.call(until, asked, what)

    def wait_for_waiting(self, count: int = 1) -> None:
        """Wait until so many of the server's statements wait for a lock, and will go on waiting."""
        self.wait_until(WAITING, count, what=f"{count} statements wait for a lock")

    @contextmanager
    def locked(self, table: str, record: str) -> Generator[Session]:
        """One row locked by somebody else, until the block ends: a command on it stays half done."""
        with self.session() as session:
            session.execute("BEGIN")
            session.fetch(
                f'SELECT 1 FROM "{self.system.name}"."{table}" WHERE id = $1 FOR UPDATE', uuid.UUID(record)
            )
            try:
                yield session
            finally:
                session.execute("ROLLBACK")


@dataclass
class Session:
    """One connection, used from plain tests; what it begins stays open until it says otherwise."""

    portal: BlockingPortal
    connection: Connection

    def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        """The rows of one statement."""
        return self.portal.call(self.connection.fetch, sql, *parameters)

    def execute(self, sql: str) -> None:
        """One statement without rows."""
        self.portal.call(self.connection.execute, sql)


@dataclass
class Server:
    """One server process. It may be killed and started again: its socket and its database stay.

    lifeline: it ends when this is closed.
    """

    target: Path
    database: Database
    log: Path
    listening: socket.socket
    environment: dict[str, str]
    process: Forked | subprocess.Popen[bytes] | None = None
    lifeline: int | None = None
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx2.Limits(max_connections=None)
        self.client = httpx2.Client(base_url=self.url, timeout=ANSWER_S_MAX, limits=limits, trust_env=False)

    @property
    def url(self) -> str:
        """Where it is reached."""
        return url_of(self.listening)

    def start(self, *, from_nothing: bool = False) -> Server:
        """Start the process, and wait until it accepts requests.

        from_nothing: it loads all that it needs, as where nothing is forked.
        """
        number = self.listening.fileno()
        arguments = [str(self.target), str(number)]
        theirs, self.lifeline = os.pipe()
        ready, said = os.pipe()
        with self.log.open("ab") as log, open(ready) as out:
            if from_nothing:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", MODULE, *arguments], cwd=ROOT, env=self.environment,
                    pass_fds=[number], stdin=theirs, stdout=said, stderr=log, start_new_session=True,
                )  # fmt: skip
            else:
                streams = [theirs, said, log.fileno()]
                self.process = Forked(MODULE, arguments, ROOT, self.environment, streams, [number])
            os.close(theirs)
            os.close(said)
            assert out.readline() == "ready\n", self.log.read_text()
        return self

    def freeze(self) -> None:
        """Stop it where it is, as if it were between two instructions."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it with SIGKILL: nothing is finished, nothing is closed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def close(self) -> None:
        """End it with SIGTERM, and let go of its socket."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self._reap()
        self.client.close()
        self.listening.close()

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait(READY_S_MAX)
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None

    def token(self, subject: str, *roles: str, tenant: str = "main") -> str:
        """A development token."""
        secret = bytes.fromhex(self.environment["AVOW_DEVELOPMENT_SECRET"])
        now = int(time.time())
        return development_token(DEVELOPMENT_ISSUER, secret, subject, frozenset(roles), now, TOKEN_S, tenant)

    def tenancy(self) -> Tenancy:
        """A tenant that nobody else uses."""
        return Tenancy(self, f"tenant-{secrets.token_hex(6)}")


@dataclass(frozen=True)
class Tenancy:
    """One tenant on one server."""

    server: Server
    tenant: str

    def actor(self, subject: str, *roles: str) -> Caller:
        """Somebody with these roles, in this tenant."""
        return Caller(self.server, self.server.token(subject, *roles, tenant=self.tenant))

    @property
    def nobody(self) -> Caller:
        """A client without credentials. Whoever has none is in the tenant `main`."""
        return Caller(self.server, None)

    def fetch(self, sql: str) -> list[Any]:
        """The rows of a statement with the tenant as $1."""
        return self.server.database.fetch(sql, self.tenant)

    def entries(self) -> int:
        """How many audit entries the tenant has."""
        return self.fetch("SELECT count(*) FROM avow.audit WHERE tenant = $1")[0][0]


@dataclass(frozen=True)
class Record:
    """What a creation was answered with."""

    path: str
    etag: str
    body: Json

    @property
    def id(self) -> str:
        """The record's id."""
        return self.body["id"]


@dataclass(frozen=True)
class Caller:
    """Somebody who sends requests. Every POST carries a fresh key unless it names one (None: no key)."""

    server: Server
    token: str | None

    def send(
        self, method: str, path: str, *, content: bytes | None = None,
        headers: Mapping[str, str] | None = None
    ) -> Response:  # fmt: skip
        """One request, exactly as given but for the credential."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        return self.server.client.request(method, path, content=content, headers=sent)

    def get(self, path: str, **headers: str) -> Response:
        """A GET; header names are written with underscores."""
        return self.send("GET", path, headers=_spelled(headers))

    def post(self, path: str, body: Json = None, key: str | None = "", **headers: str) -> Response:
        """A POST. key: its Idempotency-Key; "" makes a fresh one. body: sent as JSON unless it is bytes."""
        sent = _spelled(headers)
        if key is not None:
            sent["Idempotency-Key"] = key or str(uuid.uuid4())
        content = body if isinstance(body, bytes) or body is None else dumps(body)
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        return self.send("POST", path, content=content, headers=sent)

    def create(self, path: str, body: Json = None, key: str = "", **headers: str) -> Record:
        """A creation that must be accepted."""
        answer = self.post(path, body, key, **headers)
        assert answer.status_code == 201, answer.text
        return Record(answer.headers["location"], answer.headers["etag"], answer.json())

    def do(self, path: str, body: Json = None, key: str = "", **headers: str) -> Response:
        """A command that must be accepted."""
        answer = self.post(path, body, key, **headers)
        assert answer.status_code == 200, answer.text
        return answer


def dumps(body: Json) -> bytes:
    """A body as bytes, spelled as most clients do."""
    return httpx2.Request("POST", "http://a/", json=body).read()


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def code_of(answer: Response) -> str:
    """The code of a problem; fails unless the answer is a whole problem document (E01, E02, T04)."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["request_id"]
    assert document["title"]
    assert document["mend"]
    assert answer.headers["cache-control"] == "no-store"
    return document["type"].rpartition("/problems/")[2]


StartServer: TypeAlias = Callable[..., Server]


@pytest.fixture(scope="session")
def portal() -> Generator[BlockingPortal]:
    """An event loop beside the tests, for sessions on the database."""
    with start_blocking_portal("asyncio") as made:
        yield made


@pytest.fixture(scope="session")
def start_server(
    cluster: Cluster, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Generator[StartServer]:
    """Starts servers, each on a fresh database; all are ended with the session."""
    started = list[Server]()

    def start(target: Path, **settings: str) -> Server:
        database = portal.call(make_database, cluster, load_target(str(target)), portal)
        log = tmp_path_factory.mktemp("server") / "log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AVOW_")}
        environment = {
            **inherited,
            "AVOW_DATABASE_URL": database.application_url,
            "AVOW_HOME": str(log.parent),  # each has a log, and so a key, of its own
            "AVOW_SECRET": secrets.token_hex(32),
            "AVOW_DEVELOPMENT_SECRET": secrets.token_hex(32),
            **settings,
        }
        server = Server(target, database, log, listen("127.0.0.1", 0), environment)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()


async def make_database(cluster: Cluster, system: System, portal: BlockingPortal) -> Database:
    """A fresh database with the tables of a system, and a login with the rights of the application."""
    name, user = f"contract_{secrets.token_hex(6)}", f"contract_{system.name}"
    server = await connect(cluster.url())
    try:
        await create_database(server, name)
    finally:
        await server.close()
    admin_url = cluster.url(name)
    connection = await connect(admin_url)
    try:
        await install(connection, system)
        await login(connection, system, user, PASSWORD)
    finally:
        await connection.close()
    return Database(system, admin_url, with_login(admin_url, user, PASSWORD), portal)


@pytest.fixture(scope="session")
def _venue(start_server: StartServer) -> Server:
    return start_server(VENUE)


@pytest.fixture(scope="session")
def _enrollment(start_server: StartServer) -> Server:
    return start_server(ENROLLMENT)


@pytest.fixture
def venue(_venue: Server) -> Tenancy:
    """The tests' own system, in a tenant of this test's own."""
    return _venue.tenancy()


@pytest.fixture
def enrollment(_enrollment: Server) -> Tenancy:
    """examples/enrollment, in a tenant of this test's own."""
    return _enrollment.tenancy()


@pytest.fixture(scope="session")
def _spare(start_server: StartServer) -> Server:
    return start_server(VENUE)


@pytest.fixture
def spare(_spare: Server) -> Generator[Tenancy]:
    """A server that the test may kill; it is started again for the next one."""
    yield _spare.tenancy()
    if _spare.process is None or _spare.process.poll() is not None:
        _spare.start()
