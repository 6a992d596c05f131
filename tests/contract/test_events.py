"""Events from outside: believed for their signature alone, answered alike however often they come."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from avow.api.exchange import BODY_BYTES_MAX
from avow.cli.senders import development_sender_secret
from avow.model.signature import sign
from tests.contract.fix_server import Caller, Response, Server, StartServer, code_of

PARCELS = Path(__file__).parent / "systems" / "parcels.py"
FIRST, SECOND, NEIGHBOUR, WRONG = (f"whsec_{letter * 43}=" for letter in "ABCD")


@dataclass
class Carrier:
    """Who sends events; each message has an id of its own unless it is given one."""

    server: Server
    secrets: list[str]
    path: str = "/events/carrier"
    numbers: list[str] = field(default_factory=list[str])

    def body(self, name: str, **data: Any) -> bytes:
        return json.dumps({"type": f"parcel.{name}", "data": data, "more": [1, 2.5]}).encode()

    def send(
        self, body: bytes, message: str = "", at: datetime | None = None,
        headers: Mapping[str, str] | None = None, path: str = "",
    ) -> Response:  # fmt: skip
        signed = sign(self.secrets, message or uuid.uuid4().hex, at or datetime.now(UTC), body)
        sent = {**signed, "content-type": "application/json", **(headers or {})}
        return self.server.client.post(path or self.path, content=body, headers=sent)

    def tell(self, name: str, message: str = "", **data: Any) -> Response:
        return self.send(self.body(name, **data), message)

    def outcome(self, name: str, message: str = "", **data: Any) -> tuple[int, str]:
        answer = self.tell(name, message, **data)
        return answer.status_code, answer.json().get("outcome", answer.json().get("type"))


@pytest.fixture(scope="session")
def depot(start_server: StartServer) -> Server:
    return start_server(PARCELS)


@pytest.fixture
def carrier(depot: Server) -> Carrier:
    root = bytes.fromhex(depot.environment["AVOW_DEVELOPMENT_SECRET"])
    return Carrier(depot, [development_sender_secret(root, "carrier")])


@pytest.fixture
def number(depot: Server) -> str:
    """The number of a parcel that is registered, in the tenant of the carrier's secret."""
    return _register(depot, uuid.uuid4().hex)


def _register(server: Server, number: str, tenant: str = "main") -> str:
    Caller(server, server.token("alice", tenant=tenant)).create("/parcels/register", {"number": number})
    return number


def _row(server: Server, number: str) -> Any:
    return server.database.fetch("SELECT * FROM parcels.parcels WHERE number = $1", number)[0]


def test_an_event_is_applied_and_its_sender_learns_nothing_of_the_record(
    carrier: Carrier, number: str
) -> None:
    answer = carrier.tell("picked", number=number)
    assert (answer.status_code, answer.json()) == (200, {"outcome": "applied"})
    assert "etag" not in answer.headers
    assert _row(carrier.server, number)["state"] == "under_way"


def test_a_replay_says_so(carrier: Carrier, number: str) -> None:
    first, second = (carrier.tell("picked", "m-" + number, number=number) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_copies_at_once_get_one_answer_and_happen_once(carrier: Carrier, number: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: carrier.outcome("picked", "m-" + number, number=number), range(48)))
    assert set(told) == {(200, "applied")}
    assert _row(carrier.server, number)["version"] == 2


def test_copies_of_an_early_event_at_once_happen_once_when_the_record_comes(carrier: Carrier) -> None:
    number = uuid.uuid4().hex
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: carrier.outcome("picked", "m-" + number, number=number), range(48)))
    assert set(told) == {(202, "parked")}
    _register(carrier.server, number)
    carrier.server.database.wait_until(
        "SELECT state = 'under_way' FROM parcels.parcels WHERE number = $1", number, what="the event happens"
    )
    assert carrier.outcome("picked", "m-" + number, number=number) == (200, "applied")
    assert _row(carrier.server, number)["version"] == 2


def test_a_late_event_is_acknowledged_as_refused_so_that_it_is_not_sent_for_days(
    carrier: Carrier, number: str
) -> None:
    carrier.tell("picked", number=number)
    carrier.tell("delivered", number=number, place="Kiel")
    assert carrier.outcome("moved", number=number, place="Ulm", sequence=1) == (200, "refused")
    assert _row(carrier.server, number)["place"] == "Kiel"


def test_an_event_that_nothing_listens_to_is_noted_once(carrier: Carrier) -> None:
    name = uuid.uuid4().hex
    assert {carrier.outcome(name, "m-" + name, secret="data") for _ in range(3)} == {(202, "noted")}
    rows = carrier.server.database.fetch(
        "SELECT subject, code, rule FROM avow.refusal WHERE command = $1", f"parcel.{name}"
    )
    assert [tuple(row) for row in rows] == [("sender:carrier", "event-unknown", f"parcel.{name}")]


TAMPERED = {
    "another body": lambda body, headers: (body.replace(b"Kiel", b"Ulm!"), headers),
    "another space": lambda body, headers: (body + b" ", headers),
    "another id": lambda body, headers: (body, headers | {"webhook-id": "other"}),
    "another time": lambda body, headers: (
        body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)},
    ),
    "no signature": lambda body, headers: (body, headers | {"webhook-signature": ""}),
    "another version": lambda body, headers: (
        body, headers | {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_tampered_with_is_refused_and_changes_nothing(
    carrier: Carrier, number: str, how: str
) -> None:
    body = carrier.body("picked", number=number, place="Kiel")
    headers = sign(carrier.secrets, uuid.uuid4().hex, datetime.now(UTC), body)
    sent, tampered = TAMPERED[how](body, headers)
    answer = carrier.server.client.post(carrier.path, content=sent, headers=tampered)
    assert (answer.status_code, code_of(answer)) == (401, "signature-invalid")
    assert _row(carrier.server, number)["version"] == 1


@pytest.mark.parametrize(("age", "status"), [(timedelta(minutes=4), 200), (timedelta(minutes=6), 401)])
@pytest.mark.parametrize("way", [1, -1], ids=["past", "future"])
def test_a_copy_is_believed_for_five_minutes(
    carrier: Carrier, number: str, age: timedelta, status: int, way: int
) -> None:
    answer = carrier.send(carrier.body("picked", number=number), at=datetime.now(UTC) - way * age)
    assert answer.status_code == status


def test_a_body_is_looked_at_only_once_its_signature_is_right(carrier: Carrier) -> None:
    answer = carrier.server.client.post(carrier.path, content=b"{not json")
    assert code_of(answer) == "signature-invalid"
    assert code_of(carrier.send(b"{not json")) == "json-invalid"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"[]", "#/type"),
        (b"{}", "#/type"),
        (b'{"type":7}', "#/type"),
        (b'{"type":"parcel.picked"}', "#/data"),
        (b'{"type":"parcel.picked","data":[]}', "#/data"),
        (b'{"type":"parcel.picked","data":{"place":"Kiel"}}', "#/data/number"),
        (b'{"type":"parcel.picked","data":{"number":7}}', "#/data/number"),
        (b'{"type":"parcel.lost","data":{"parcel":"x"}}', "#/data/parcel"),
    ],
)
def test_what_does_not_fit_the_declaration_is_refused_with_its_places(
    carrier: Carrier, body: bytes, pointer: str
) -> None:
    answer = carrier.send(body)
    assert (answer.status_code, code_of(answer)) == (400, "event-invalid")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(carrier: Carrier) -> None:
    assert code_of(carrier.send(b" " * (BODY_BYTES_MAX + 1))) == "body-too-large"


def test_a_credential_opens_nothing_and_closes_nothing(carrier: Carrier, number: str) -> None:
    body = carrier.body("picked", number=number)
    token = {"authorization": f"Bearer {carrier.server.token('alice', 'admin')}"}
    assert (
        code_of(carrier.server.client.post(carrier.path, content=body, headers=token)) == "signature-invalid"
    )
    assert carrier.send(body, headers={"authorization": "Bearer nonsense"}).status_code == 200


def test_only_declared_senders_have_an_address_that_takes_a_post_alone(carrier: Carrier) -> None:
    body = carrier.body("picked")
    assert code_of(carrier.send(body, path="/events/other")) == "not-found"
    assert code_of(carrier.send(body, path="/events")) == "not-found"
    assert carrier.server.client.get(carrier.path).status_code == 405


def test_nobody_else_can_give_the_command_of_an_event(carrier: Carrier, number: str) -> None:
    record = _row(carrier.server, number)["id"]
    alice = Caller(carrier.server, carrier.server.token("alice"))
    for word in ("pick", "carrier:parcel.picked", "carrier%3Aparcel.picked"):
        assert code_of(alice.post(f"/parcels/{record}/{word}", {"data": {"number": number}})) == "not-found"


def test_nothing_of_a_message_is_logged(carrier: Carrier, number: str) -> None:
    carrier.tell("picked", number=number, place="SecretPlace")
    carrier.tell("picked", number="SecretPlace", place=7)
    carrier.tell("delivered", number="SecretPlace")
    carrier.send(carrier.body("picked", number="SecretPlace"), at=datetime(2020, 1, 1, tzinfo=UTC))
    assert "SecretPlace" not in carrier.server.log.read_text()


def test_secrets_are_rotated_without_a_gap_and_each_says_whose_a_message_is(
    start_server: StartServer,
) -> None:
    """Two are in force at once; each belongs to one tenant; one that was taken away is believed no more."""
    server = start_server(PARCELS)
    one = _register(server, "one")
    _register(server, "one", tenant="neighbour")

    def configured(setting: str) -> None:
        server.kill()
        server.environment["AVOW_SENDER_SECRETS"] = setting
        server.start()

    def told(*secrets: str) -> tuple[int, str]:
        return Carrier(server, list(secrets)).outcome("picked", number=one)

    configured(f"carrier={FIRST} carrier={SECOND} carrier@neighbour={NEIGHBOUR}")
    assert told(WRONG)[0] == 401
    assert told(SECOND) == (200, "applied")
    assert told(WRONG, NEIGHBOUR) == (200, "applied")
    assert {row["state"] for row in server.database.fetch("SELECT state FROM parcels.parcels")} == {
        "under_way"
    }
    configured(f"carrier={SECOND} carrier@neighbour={NEIGHBOUR}")
    assert told(FIRST)[0] == 401
    assert told(FIRST, SECOND)[0] != 401
