"""No private field of any example lets its value out, whatever is done; nothing is left once it is erased.

The fields are those of the model: one that is added is planted by itself, and one that no life gives a value
fails. All examples share one cluster, whose files are searched once, with its write-ahead log.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from avow.api.app import Application
from avow.api.authentication import DEVELOPMENT_ISSUER, Trust
from avow.api.bearer import development_token
from avow.engine.as_of import as_it_was
from avow.engine.explain import Operator, history, why
from avow.engine.log import parquet
from avow.engine.log.export import export as export_log
from avow.engine.log.key import log_key
from avow.engine.log.proving import Logs
from avow.engine.log.receipts import Asked, issue
from avow.engine.log.sealer import Steps
from avow.engine.log.tiles import Folder
from avow.engine.privacy import Vault, vault
from avow.engine.privacy.cipher import Encrypted
from avow.engine.subject_export import export
from avow.engine.verify import verify
from avow.engine.workers.parking import Parking
from avow.engine.workers.publishing import Publishing, Telling
from avow.evidence.verifier import parse_receipt
from avow.model.system import System
from avow.store.disclosures import Disclosures
from avow.store.pool import Pool, connect
from avow.store.queue import Queue
from avow.store.reads import Reads
from avow.store.subjects import Subjects
from avow.store.subscriptions import Subscriptions
from avow.store.trials import trial
from avow.testing import Refused, stage
from tests.contract.lives import LIVES, Living, Outside, clinic, planted_in, roles_of
from tests.planted import TABLES, places, rows_of
from tests.receiver import Receiver, receiving

arrow: Any = import_module("pyarrow.parquet")
PURPOSE = "Purpose-of-the-search"
PERSON, HELD = "pat", "pia"
"""Who is forgotten; and who is held, in the clinic, by the ten years for which a contract has to be kept."""
FILES = (
    "SELECT current_setting('data_directory'), oid::text FROM pg_database WHERE datname = current_database()"
)


OWN_CLIENT = "httpx2"
"""Logs every address that this test asks for, among them those with a private value, which are refused."""
_WHOLE = logging.Formatter()


class Searched:
    """One system with what was planted in it, and what it said to people who asked for no reveal."""

    def __init__(self, at: Living) -> None:
        self.at, self.said, self.files = at, list[str](), dict[str, bytes]()

    @property
    def needles(self) -> list[str]:
        """What was planted, as it is written."""
        return [str(value) for value in self.at.planted.values()]

    async def rows(self) -> dict[str, bytes]:
        """Every row of every table, and everything that was said."""
        admin = self.at.on.admin
        names = [row["name"] for row in await admin.fetch(TABLES)]
        found = {name: await admin.fetch(rows_of(name)) for name in names}
        told = {"said": "\n".join(self.said).encode(), **self.files}
        return told | {name: "\n".join(row[0] for row in rows).encode() for name, rows in found.items()}

    async def places(self) -> list[str]:
        """Where something private stands."""
        return places((await self.rows()).items(), self.needles)


async def look_around(searched: Searched, *, wrongly: bool = False) -> None:
    """Ask for everything that may be asked for, but for reveals; and ask wrongly, with what is private."""
    at, on = searched.at, searched.at.on
    pool = Pool(on.url)
    reads, operator = Reads(on.system, pool), Operator("main")
    for kind, record in at.records:
        entity = on.system.entities[kind]
        searched.said.append(json.dumps(await history(on.system, reads, operator, entity, record, 0, 100)))
        searched.said.append(json.dumps(await why(on.system, reads, operator, entity, record, None, None)))
        searched.said.append(repr(await on.look(record)) + repr(await on.load(record)))
    await pool.close()
    searched.said += [repr(one) for one in await on.waiting()]
    secret = secrets.token_bytes(32)
    app = Application(
        on.system, on.url, secret, Trust(development_secret=secret), keyring=on.keyring, works=False
    )
    await trial.start_clock(on.admin)
    await app.start()
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://a") as client:
        for who, roles in ((PERSON, roles_of(on.system)), ("eve", [])):
            client.headers["Authorization"] = f"Bearer {token(secret, who, roles)}"
            await _ask_over_http(searched, client, wrongly)
    await app.close()
    await trial.stop_clock(on.admin, on.now)


def token(secret: bytes, who: str, roles: list[str]) -> str:
    """A credential."""
    return development_token(DEVELOPMENT_ISSUER, secret, who, frozenset(roles), int(time.time()), 600, "main")


async def _ask_over_http(searched: Searched, client: httpx2.AsyncClient, wrongly: bool) -> None:
    at, system = searched.at, searched.at.system
    paths = ["/openapi.json", "/tasks", *(f"/{entity.plural}" for entity in system.entities.values())]
    for kind, record in at.records:
        path = f"/{system.entities[kind].plural}/{record}"
        paths += [path, f"{path}/history", f"{path}/why"]
    for path in paths:
        answer = await client.get(path)
        searched.said.append(answer.text + repr(answer.headers))
    for entity in system.entities.values() if wrongly else ():
        for name in entity.private:
            answer = await client.get(f"/{entity.plural}?{name}={at.planted[entity.name, name]}")
            assert answer.status_code in (403, 422), "no list is filtered by what is private"
            searched.said.append(answer.text)
            answer = await client.get(f"/{entity.plural}?sort={name}")
            assert answer.status_code in (403, 422), "no list is sorted by what is private"
        for t in entity.transitions.values():
            if t.trigger is None and (given := at.private_of(entity.name, t.command)):
                own = [f"/{record}/{t.command}" for kind, record in at.records if kind == entity.name]
                where = [f"/{entity.plural}{path}" for path in ([""] if t.creation else own)]
                for path in where:
                    await _ask_wrongly(searched, client, path, given)


async def _ask_wrongly(
    searched: Searched, client: httpx2.AsyncClient, path: str, given: dict[str, Any]
) -> None:
    plain = {name: str(value) for name, value in given.items()}
    for body in (
        plain,  # what else it takes is missing, or it isn't the time, or it isn't theirs to do
        {name: [value] for name, value in plain.items()},
        {name: value * 60 for name, value in plain.items()},
        {**plain, "unknown": next(iter(plain.values()))},
    ):
        headers = {"Idempotency-Key": f"{path}-{len(searched.said)}"[-60:]}
        for sent in ({"json": body}, {"content": json.dumps(body)[:-1].encode()}):
            answer = await client.post(f"{path}?dry_run=true", headers=headers, **sent)
            searched.said.append(answer.text + repr(answer.headers))


async def reveal_all(at: Living) -> dict[tuple[str, str], Any]:
    """Everything that some command reveals, by entity and field, to somebody with every role."""
    found = dict[tuple[str, str], Any]()
    for kind, record in at.records:
        entity = at.system.entities[kind]
        for command in {t.command for t in entity.transitions.values() if t.reveals}:
            try:
                told = await at.somebody(PERSON).reveal(f"{kind}.{command}", record, PURPOSE)
            except Refused as refused:
                if refused.code != "state-conflict":
                    raise
                continue  # it reveals in other states
            found |= {(kind, name): value for name, value in told.items() if value is not None}
    return found


async def forget(at: Living, person: str) -> None:
    """Two people have somebody forgotten, by whatever is declared for it."""
    entity, erasing = next(
        (e, t) for e in at.system.entities.values() for t in e.transitions.values() if t.erases is not None
    )
    assert erasing.erases is not None
    asking = next(t for t in entity.transitions.values() if t.creation)
    texts = {p.name: "asked for" for p in asking.parameters if p.name != erasing.erases}
    asked = await at.somebody("olga").do(
        f"{entity.name}.{asking.command}", **{erasing.erases: person}, **texts
    )
    with pytest.raises(Refused, match="four-eyes"):
        await at.somebody("olga").do(f"{entity.name}.{erasing.command}", asked)
    await at.somebody("otto").do(f"{entity.name}.{erasing.command}", asked)


async def exported(at: Living, person: str) -> list[Any]:
    """The private values that a person is given of what is held about them."""
    pool, subjects = Pool(at.on.url), Subjects(at.on.admin, at.system, "main")
    own, reads = Vault(Disclosures(pool), at.on.keyring), Reads(at.system, pool)
    await at.on.admin.execute("SELECT set_config('avow.tenant', 'main', false)")
    document = await export(at.system, reads, subjects, own, "main", person)
    await pool.close()
    return [one["value"] for one in document["private"]]


async def cluster_files(searched: list[Searched]) -> AsyncIterator[tuple[str, bytes]]:
    """The files of the databases, and of the write-ahead log that they share, as they are on the disk."""
    folders = dict[Path, None]()
    for one in searched:
        await one.at.on.admin.execute("CHECKPOINT")
        folder, number = await one.at.on.admin.fetchrow(FILES)
        folders |= dict.fromkeys([Path(folder) / "base" / number, Path(folder) / "pg_wal"])
    for folder in folders:
        for file in sorted(folder.iterdir()):
            if file.is_file():
                yield str(file), file.read_bytes()


async def hand_out(searched: Searched, folder: Path) -> None:
    """Seal what happened, and hand it out: receipts of every entry, the log as files and as Parquet, and what
    the records were as of a checkpoint."""
    at, on = searched.at, searched.at.on
    served = await connect(on.url)
    key = log_key(None, folder, on.system.name)
    steps = Steps(on.system.name, served, key)
    await steps.lead()
    await steps.take_over()
    while (sealed := await steps.step()) is not None and sealed.leaves:
        continue
    await served.close()
    signer = key.keys.signer()
    assert signer is not None
    done = await export_log(on.admin, folder / "log", _silent)
    assert done[0].size > 0
    parquet.write(Folder(folder / "log" / "epoch-1"), signer.verifier, _silent)
    searched.files |= {f"{at.system.name}: {name}": data for name, data in files_in(folder).items()}
    rows = arrow.read_table(folder / "log" / "epoch-1" / "parquet" / "entries-000000.parquet").to_pylist()
    searched.said.append(repr(rows))
    pool = Pool(on.url)
    reads, logs = Reads(on.system, pool), Logs(pool.borrow)
    newest = await logs.reads.newest_checkpoint(1)
    assert newest is not None
    then, operator = await reads.as_of(newest.at), Operator("main")
    for row in rows:
        if (row["kind"], UUID(row["id"])) not in at.records:
            continue
        entity, record = on.system.entities[row["kind"]], UUID(row["id"])
        asked = Asked(entity, record, f"state = {row['to']}", row["version"], 0.0, signer)
        issued = await issue(on.system, reads, logs, operator, asked)
        assert issued is not None
        searched.said.append(issued.text + json.dumps(issued.document))
        receipt = parse_receipt(issued.text.encode())
        searched.said.append(receipt.header.decode() + repr(receipt))
        searched.said.append(json.dumps(await as_it_was(on.system, then, operator, entity, record)))
    await pool.close()


def _silent(done: int, total: int) -> None:
    """Nobody looks at how far it is."""


def published(system: System) -> list[str]:
    """The types of events that a system tells its subscribers."""
    return [
        f"{entity.name}.{name}"
        for entity in system.entities.values()
        for publication in entity.publications
        for name in publication.transitions
    ]


async def subscribe(at: Living, receiver: Receiver) -> None:
    """Have somebody told of everything that is published."""
    pool, types = Pool(at.on.url), published(at.system)
    if types:
        await Subscriptions(pool).put("main", uuid4(), "ira", receiver.url, types)
    await pool.close()


async def tell(searched: Searched, receiver: Receiver) -> None:
    """Deliver what is to be told to subscribers."""
    system, pool = searched.at.system, Pool(searched.at.on.url)
    publishing, queue = Publishing(system, pool, Telling(b"r" * 32, private=True)), Queue(system, pool)
    first = len(receiver.came)
    while (ready := await publishing.ready()) and (taken := await queue.take(ready, 60.0, 50)):
        for work in taken:
            assert await publishing.deliver(work) == "delivered"
    came = receiver.came[first:]
    searched.said += [repr((path, headers)) + body.decode() for path, headers, body in came]
    await publishing.close()
    await pool.close()


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its place there."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


async def live_and_forget(searched: Searched, outside: Outside, folder: Path, receiver: Receiver) -> None:
    """Live a life, look around, have its person forgotten, and look again."""
    at, system = searched.at, searched.at.system
    held = await at.on.admin.fetch("SELECT DISTINCT kind, field FROM avow.disclosure")
    assert {tuple(row) for row in held} == {*at.planted}, "a life gives every private field a value"
    tells = any(state.reveals for entity in system.entities.values() for state in entity.states.values())
    assert tells == any(needle in one for one in outside.told for needle in searched.needles)
    await look_around(searched, wrongly=True)
    await hand_out(searched, folder)
    await tell(searched, receiver)
    assert await searched.places() == [], system.name
    revealed = await reveal_all(at)
    assert revealed == {key: str(at.planted[key]) for key in revealed}
    about = {value for key, value in revealed.items() if key[0] != "Contract"}
    assert about, system.name
    assert {*await exported(at, PERSON)} >= about

    await forget(at, PERSON)
    assert await exported(at, PERSON) == []
    await look_around(searched)
    await hand_out(searched, folder)
    await tell(searched, receiver)
    assert await searched.places() == [], system.name
    gone = {key: {*value} for key, value in (await reveal_all(at)).items() if key[0] != "Contract"}
    assert gone == {key: {"erased_at"} for key in revealed if key[0] != "Contract"}
    assert (await verify(at.on.admin, system)).findings == []


async def test_no_private_field_of_any_example_lets_its_value_out(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    everything = list[Searched]()
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        for system, live in LIVES:
            outside = Outside({"insurance": planted_in(system).get(("Patient", "insurance"))})

            def opened(*_: object, to: Outside = outside) -> Outside:
                return to

            at = Living(await stack.enter_async_context(stage(system, http=opened)))
            everything.append(Searched(at))
            await subscribe(at, receiver)
            await live(at)
            folder = tmp_path / system.name
            folder.mkdir()
            await live_and_forget(everything[-1], outside, folder, receiver)
        with pytest.raises(Refused, match="erasure-held"):
            await forget(everything[-1].at, HELD)
        needles = [needle for one in everything for needle in one.needles]
        files = [found async for found in cluster_files(everything)]
        assert receiver.came, "somebody is told of something"
        assert places(files, needles) == []
        assert places(files, [PURPOSE]), "the search can find"
    written = capfd.readouterr()
    ours = (record for record in caplog.records if record.name != OWN_CLIENT)
    lines = [(f"{one.name}: {one.msg}", _WHOLE.format(one).encode()) for one in ours]
    assert places(lines, needles) == []
    logged = {"terminal": (written.out + written.err).encode()}
    assert places(logged.items(), needles) == []


def _bare(_: bytes, plaintext: bytes, __: bytes) -> Encrypted:
    return Encrypted(bytes(12), plaintext)


async def _unsealed(_: object, __: object, kind: Any, ___: object, message: str, read: Any) -> str:
    held = {m.name: getattr(read, m.name) for m in kind.members}
    return json.dumps({"id": message, "data": {n: str(getattr(v, "value", v)) for n, v in held.items()}})


MASKS: dict[str, tuple[Any, str, Any, str]] = {
    "what stands behind a digest": (vault, "encrypt", _bare, "avow.disclosure"),
    "an event that waits": (Parking, "write", _unsealed, "avow.work"),
}


@pytest.mark.parametrize("mask", MASKS)
async def test_a_mask_that_is_taken_out_is_missed(mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, unmasked, table = MASKS[mask]
    monkeypatch.setattr(where, name, unmasked)
    async with stage(clinic) as on:
        at = Living(on)
        patient = await at.do("dora", "Patient.admit", person="pat")
        told = {"patient": str(patient), "finding": at.planted["Patient", "finding"]}
        await on.hear("lab", "sample.measured", told)
        assert table in await Searched(at).places()
