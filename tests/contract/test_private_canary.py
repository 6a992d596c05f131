"""A value planted in every private field is nowhere but behind its key, and nowhere at all once it is erased.

Everything that a server with private fields can do is done with it: commands, refusals, replays, dry runs,
calls to the outside, webhooks, tasks, reveals. Then all that is left is searched: every row of every table,
the files of the database with its write-ahead log, the server's log, each answer, each webhook.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avow.api.commands import fingerprint
from avow.engine.privacy import FileKeyring
from avow.engine.privacy.cipher import Encrypted, Unreadable, decrypt
from avow.engine.privacy.vault import context_of_key, context_of_value
from tests.contract.fix_clinic import CLINIC, Registry, operator
from tests.contract.fix_receiver import Receiver
from tests.contract.fix_server import Caller, Database, Server, Tenancy
from tests.planted import TABLES, rows_of
from tests.planted import places as planted_places

PASSPORT, BORN, NOTES, IBAN = "Canary-Passport", "1899-07-13", "Canary-Notes: quite well", "Canary-Iban-77"
CANARIES = (PASSPORT, BORN, NOTES, IBAN)
PURPOSE = "to plant it in an answer"


class Searched:
    """What was said by the server, as far as it isn't a reveal, and what was kept by the database."""

    def __init__(self, tenancy: Tenancy) -> None:
        self.tenancy, self.server = tenancy, tenancy.server
        self.said: list[bytes] = []
        self.bodies: list[Any] = []  # whose plain hash, too, would let somebody try what was in them

    def post(self, caller: Caller, path: str, body: Any = None, key: str = "", **headers: str) -> Any:
        if path == "/patients" and isinstance(body, dict):
            self.bodies.append(body)
        answer = caller.post(path, body, key, **headers)
        self.said.append(answer.content + repr(dict(answer.headers)).encode())
        return answer

    def get(self, caller: Caller, path: str) -> Any:
        answer = caller.get(path)
        self.said.append(answer.content + repr(dict(answer.headers)).encode())
        return answer

    def places(self, canaries: tuple[str, ...] = CANARIES) -> list[str]:
        """Where any of the canaries stands, in clear or merely encoded."""
        tried = [fingerprint(None, body).hex() for body in self.bodies]
        return planted_places(self._haystacks(), [*canaries, *tried])

    def _haystacks(self) -> Iterator[tuple[str, bytes]]:
        yield "answers", b"\n".join(self.said)
        yield "the server's log", self.server.log.read_bytes()
        yield from dump(self.server.database).items()
        yield from _files(self.server.database)


def dump(database: Database) -> dict[str, bytes]:
    """Every table as COPY would write it."""
    with database.session() as session:
        names = [row["name"] for row in session.fetch(TABLES)]
        return {name: "\n".join(row[0] for row in session.fetch(rows_of(name))).encode() for name in names}


def _files(database: Database) -> Iterator[tuple[str, bytes]]:
    """The files of the database and of the write-ahead log, as they are on the disk."""
    database.fetch("CHECKPOINT")
    found = database.fetch(
        "SELECT current_setting('data_directory') AS folder, oid::text FROM pg_database"
        " WHERE datname = current_database()"
    )[0]
    folder = Path(found["folder"])
    for place in (folder / "base" / found["oid"], folder / "pg_wal"):
        for file in place.iterdir():
            if file.is_file():
                yield str(file), file.read_bytes()


@pytest.fixture
def searched(clinic: Tenancy) -> Searched:
    return Searched(clinic)


def test_what_is_private_is_nowhere_in_clear_and_nowhere_at_all_once_it_is_erased(
    searched: Searched, registry: Registry
) -> None:
    clinic, database = searched.tenancy, searched.server.database
    with Receiver() as receiver:
        patient = live(searched, receiver)
        told = [json.dumps([hook.type, hook.data]).encode() for hook in receiver.got]
    assert told
    searched.said += told
    assert any(PASSPORT.encode() in body for body in registry.got)  # the call was told, in clear
    assert searched.places() == []
    assert {"avow.audit"} < {*searched.places((PURPOSE,))}  # the search can find

    kept = encrypted(database, clinic.tenant)
    assert len(kept) >= len(CANARIES)
    olga, otto = clinic.actor("olga", "officer"), clinic.actor("otto", "officer")
    for person in ("pat", "dan"):  # dan wrote the notes, which are about him
        asked = searched.post(olga, "/erasures", {"person": person, "reason": "asked for it"}).json()
        assert searched.post(otto, f"/erasures/{asked['id']}/approve").status_code == 200
    assert searched.places() == []
    shown = clinic.actor("dora", "desk").do(f"{patient}/see_passport", {"purpose": "is it gone?"}).json()
    assert {"erased_at"} == {*shown["revealed"]["passport"], *shown["revealed"]["born"]}
    assert {row["subject"] for row in kept} == {"pat", "dan", "pia"}
    assert {row["subject"] for row in kept if readable(searched.server, row)} == {"pia"}
    assert verified(searched.server, clinic.tenant)


def encrypted(database: Database, tenant: str) -> list[Any]:
    """Every private value as it is kept, encrypted: what an old copy of the database still has later."""
    return database.fetch(
        "SELECT d.tenant, d.kind, d.id, d.field, d.nonce, d.ciphertext, k.subject"
        " FROM avow.disclosure d JOIN avow.subject_key k USING (tenant, key) WHERE d.tenant = $1", tenant
    )  # fmt: skip


def readable(server: Server, value: Any) -> bool:
    """Whether any key that there is now, with the key of keys, decrypts it."""
    keyring = FileKeyring(Path(server.environment["AVOW_PRIVATE_KEY"]))
    place = (value["tenant"], value["kind"], value["id"], value["field"], value["subject"])
    for row in server.database.fetch("SELECT tenant, subject, key, kek, wrapped FROM avow.subject_key"):
        context = context_of_key(row["tenant"], row["subject"], row["key"])
        key = keyring.unwrap(row["kek"], row["wrapped"], context)
        try:
            decrypt(key, Encrypted(value["nonce"], value["ciphertext"]), context_of_value(*place))
        except Unreadable:
            continue
        return True
    return False


def live(searched: Searched, receiver: Receiver) -> str:
    """Do everything with the canaries that a clinic does; the path of the patient."""
    clinic = searched.tenancy
    desk, doctor, key = clinic.actor("dora", "desk"), clinic.actor("dan", "doctor"), str(uuid.uuid4())
    body = {"person": "pat", "passport": PASSPORT, "born": BORN}
    partner = clinic.actor("partner", "integrator")
    answer = partner.post("/subscriptions", {"url": receiver.url, "events": ["clinic.Patient.enrolled"]})
    assert answer.status_code == 201, answer.text
    searched.post(desk, "/patients?dry_run=true", body, key)
    patient = searched.post(desk, "/patients", body, key).headers["location"]
    assert searched.post(desk, "/patients", body, key).headers["idempotency-replayed"] == "true"
    searched.post(desk, "/patients", {**body, "born": "1899-02-30"}, key)  # the key with another body
    searched.post(desk, "/patients", {**body, "passport": f"{PASSPORT}{'-' * 40}"})  # too long
    searched.post(desk, "/patients", {**body, "sex": PASSPORT})  # an argument that isn't there
    searched.post(desk, "/patients", b'{"passport": "' + PASSPORT.encode() + b'"')  # broken JSON
    searched.post(desk, "/patients", {**body, "person": "pia"})  # the passport is taken
    searched.post(clinic.nobody, "/patients", body)
    searched.post(doctor, f"{patient}/note", {"notes": NOTES})
    searched.post(doctor, f"{patient}/correct", {"passport": PASSPORT})  # not theirs to do
    searched.post(desk, f"{patient}/correct", {"passport": f"{PASSPORT}-2"}, If_Match='"other"')
    ageless = searched.post(desk, "/patients", {"person": "pia", "passport": f"{PASSPORT}-3"})
    searched.post(doctor, f"{ageless.headers['location']}/note", {"notes": NOTES})  # refused by the body
    searched.post(desk, "/contracts", {"signer": "pia", "iban": IBAN})
    desk.do(f"{patient}/see_passport", {"purpose": PURPOSE}, key)
    searched.post(desk, f"{patient}/see_passport?dry_run=true", {"purpose": "to try it"})
    searched.post(desk, f"{patient}/register")
    searched.server.database.wait_until(
        "SELECT count(*) = 0 FROM avow.work WHERE tenant = $1", clinic.tenant, what="all work is done"
    )
    for path in (
        patient,
        f"{patient}/history",
        f"{patient}/why",
        f"{patient}/why?field=passport",
        "/patients",
        "/tasks",
    ):
        assert searched.get(desk, path).status_code == 200
    searched.get(desk, "/openapi.json")
    for word in ("why", "history"):
        record = (patient.lstrip("/"), "--target", str(CLINIC), "--tenant", clinic.tenant)
        told = operator(searched.server, word, *record)
        assert told.returncode == 0, told.stderr
        searched.said.append(told.stdout.encode() + told.stderr.encode())
    return patient


def verified(server: Server, tenant: str) -> bool:
    """Whether `avow verify` finds that everything holds, and says what was erased."""
    told = operator(server, "verify", str(CLINIC), "--tenant", tenant, "--json")
    document = json.loads(told.stdout)
    return document["holds"] and bool(document["private"]["erased"])
