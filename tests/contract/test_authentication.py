"""Credentials over HTTP, on `avow serve`: API keys, tokens of an issuer, and nothing of development."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from anyio.from_thread import BlockingPortal
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from avow.api import api_keys
from avow.api.authentication import DEVELOPMENT_ISSUER
from avow.api.bearer import development_token
from avow.cli.home import pepper_of
from avow.cli.target import load_target
from avow.store.api_keys import ApiKeys
from avow.store.server.cluster import Cluster
from tests.contract.fix_server import (
    ANSWER_S_MAX,
    PASSWORD,
    ROOT,
    VENUE,
    Database,
    Response,
    Tenancy,
    code_of,
    make_database,
)  # fmt: skip
from tests.contract.fix_venue import ROOM

ISSUER, AUDIENCE = "https://id.example", "https://venue.example"


@dataclass
class Served:
    """A server as it runs in production, its database, and the issuer that it believes."""

    client: httpx2.Client
    database: Database
    secret: str
    key: RSAKey

    def get(self, path: str, token: str) -> Response:
        return self.client.get(path, headers={"Authorization": f"Bearer {token}"})

    def post(self, path: str, token: str, body: Any = None) -> Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": secrets.token_hex(8)}
        return self.client.post(path, json={} if body is None else body, headers=headers)

    def token(self, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of the issuer; a claim of None is left out."""
        now = int(time.time())
        said = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 600, "iat": now, "roles": ["clerk"],
            "org": "acme", **claims,
        }  # fmt: skip
        protected = {"alg": "RS256", "kid": "one", "typ": "JWT", **(header or {})}
        payload = {name: held for name, held in said.items() if held is not None}
        return jwt.encode(protected, payload, key or self.key, algorithms=[protected["alg"]])

    def api_key(self, subject: str, *roles: str, tenant: str = "acme", days: int = 30) -> tuple[str, str]:
        """A key's id and its text, as `avow keys create` makes them."""
        made = api_keys.new(
            "live", secrets.token_bytes(api_keys.RANDOM_BYTES), pepper_of(self.secret.encode())
        )
        with self.database.session() as session:
            store = ApiKeys(session.connection)
            session.portal.call(store.add, made.public_id, made.digest, tenant, subject, list(roles), days)
        return made.public_id, made.text


@pytest.fixture(scope="module")
def key_set() -> Generator[tuple[str, RSAKey]]:
    """An issuer's key set on a real server of this machine."""
    key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    raw = json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys", key
        server.shutdown()


@pytest.fixture(scope="module")
def served(cluster: Cluster, portal: BlockingPortal, key_set: tuple[str, RSAKey]) -> Generator[Served]:
    database = portal.call(make_database, cluster, load_target(str(VENUE)), portal)
    secret = secrets.token_hex(32)
    environment = {
        **os.environ, "AVOW_DATABASE_URL": database.application_url, "AVOW_SECRET": secret,
        "AVOW_OIDC_ISSUER": ISSUER,
        "AVOW_OIDC_AUDIENCE": AUDIENCE, "AVOW_OIDC_JWKS_URL": key_set[0], "AVOW_OIDC_TENANT_CLAIM": "org",
        "AVOW_DEVELOPMENT_SECRET": "d" * 64,
    }  # fmt: skip
    command = [sys.executable, "-m", "avow.cli", "serve", str(VENUE), "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with httpx2.Client(base_url=url, trust_env=False, timeout=ANSWER_S_MAX) as client:
            yield Served(client, database, secret, key_set[1])
        process.terminate()


def refused(answer: Response) -> bool:
    return (answer.status_code, code_of(answer)) == (401, "unauthenticated")


def test_a_token_of_the_issuer_names_subject_roles_and_tenant(served: Served) -> None:
    made = served.post("/rooms", served.token(), {**ROOM, "name": "of acme"})
    assert made.status_code == 201
    place = made.headers["location"]
    assert served.get(place, served.token(roles=[])).status_code == 200
    assert served.get(place, served.token(org="other")).status_code == 404
    assert code_of(served.post("/rooms", served.token(roles=[]), ROOM)) == "forbidden"
    booking = {"room": made.json()["id"], "starts": "2026-11-21T10:00:00Z", "ends": "2026-11-21T11:00:00Z"}
    assert served.post("/bookings", served.token(sub="eve", roles=[]), booking).json()["holder"] == "eve"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": None},
        {"exp": 1},
        {"exp": "9999999999"},
        {"nbf": 9_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"org": ""},
        {"org": None},
        {"org": "a\0"},
        {"org": 1},
        {"iat": 9_999_999_999},
        {"sub": "anonymous"},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(served: Served, claims: dict[str, Any]) -> None:
    answer = served.get("/rooms", served.token(**claims))
    assert refused(answer)
    assert "example" not in answer.text


def test_a_token_that_is_not_signed_by_the_issuer_is_refused(served: Served) -> None:
    own = RSAKey.generate_key(2048, {"kid": "one"})
    public = served.key.as_pem(private=False)
    good = served.token()
    head, body, signature = good.split(".")
    forged = [
        served.token(own),
        served.token(own, {"kid": "two"}),
        served.token(own, {"jwk": own.as_dict(private=False)}),
        served.token(OctKey.import_key(public.hex()), {"alg": "HS256"}),
        served.token(ECKey.generate_key("P-256"), {"alg": "ES256"}),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-2]}",
        f"{head}.{body}.{signature}=",
        f"eyJhbGciOiJub25lIn0.{body}.",
        f"eyJhbGciOiJub25lIn0.{body}.{signature}",
        served.token(header={"typ": "logout+jwt"}),
        f"{head[:-1]}.{body}.{signature}",
    ]
    assert served.get("/rooms", good).status_code == 200
    for token in forged:
        assert refused(served.get("/rooms", token)), token[:60]


def test_development_tokens_are_believed_by_no_server_of_production(served: Served) -> None:
    """Also where AVOW_DEVELOPMENT_SECRET is set."""
    now = int(time.time())
    token = development_token(
        DEVELOPMENT_ISSUER, bytes.fromhex("d" * 64), "ann", frozenset({"clerk"}), now, 60, "acme"
    )
    answer = served.get("/rooms", token)
    assert refused(answer)
    assert "avow dev" in answer.json()["detail"]


def test_an_expired_development_token_is_refused(venue: Tenancy) -> None:
    secret = bytes.fromhex(venue.server.environment["AVOW_DEVELOPMENT_SECRET"])
    for start_s, status in ((-3_600, 401), (-10, 200)):
        start = int(time.time()) + start_s
        token = development_token(DEVELOPMENT_ISSUER, secret, "ann", frozenset(), start, 600, venue.tenant)
        assert venue.nobody.get("/rooms", Authorization=f"Bearer {token}").status_code == status


def test_an_api_key_acts_as_its_row_says(served: Served) -> None:
    _, clerk = served.api_key("robot", "clerk")
    made = served.post("/rooms", clerk, {**ROOM, "name": "of a key"})
    assert made.status_code == 201
    assert served.get(made.headers["location"], served.api_key("x", tenant="other")[1]).status_code == 404
    assert code_of(served.post("/rooms", served.api_key("reader")[1], ROOM)) == "forbidden"


def test_rights_of_a_key_end_at_once(served: Served) -> None:
    """Roles are read each time; a revoked or expired key is refused from then on."""
    key_id, text = served.api_key("robot", "clerk")
    assert served.get("/rooms", text).status_code == 200
    served.database.fetch("UPDATE avow.api_key SET roles = '{}' WHERE id = $1", key_id)
    assert code_of(served.post("/rooms", text, ROOM)) == "forbidden"
    served.database.fetch("UPDATE avow.api_key SET expires_at = avow.now() WHERE id = $1", key_id)
    assert refused(served.get("/rooms", text))
    other_id, other = served.api_key("robot", "clerk")
    served.database.fetch("UPDATE avow.api_key SET revoked_at = avow.now() WHERE id = $1", other_id)
    assert refused(served.get("/rooms", other))


def test_a_wrong_api_key_is_refused_in_one_way(served: Served) -> None:
    """Unknown, wrong secret, another key's secret, damaged: the same status, and no word of which."""
    _, good = served.api_key("robot", "clerk")
    pepper = pepper_of(served.secret.encode())
    unknown = api_keys.new("live", secrets.token_bytes(api_keys.RANDOM_BYTES), pepper).text
    same_id = api_keys.parse(good).public_id
    forged = api_keys.new("live", secrets.token_bytes(api_keys.RANDOM_BYTES), pepper)
    with_its_id = unknown.replace(api_keys.parse(unknown).public_id, same_id)
    damaged = good[:-1] + ("A" if good[-1] != "A" else "B")
    for text in (unknown, forged.text, with_its_id, damaged, good.replace("_live_", "_dev_"), good + "A"):
        answer = served.get("/rooms", text)
        assert refused(answer)
        assert same_id not in answer.text
    details = {served.get("/rooms", text).json()["detail"] for text in (unknown, forged.text)}
    assert details == {"The API key is unknown, expired or revoked."}


def test_the_second_pair_of_eyes_is_not_ones_own_api_key(served: Served) -> None:
    """A10: the subject counts, not the credential."""
    room = served.post("/rooms", served.token(), {**ROOM, "name": "for two"}).json()["id"]
    body = {"room": room, "starts": "2026-11-21T10:00:00Z", "ends": "2026-11-21T11:00:00Z"}
    place = served.post("/bookings", served.token(sub="eve"), body).headers["location"]
    assert served.post(f"{place}/confirm", served.token(sub="max")).status_code == 200
    assert code_of(served.post(f"{place}/approve", served.api_key("max", "manager")[1])) == "four-eyes"
    assert served.post(f"{place}/approve", served.api_key("mia", "manager")[1]).status_code == 200


def test_no_answer_and_no_page_tells_a_credential(served: Served) -> None:
    _, text = served.api_key("robot", "clerk")
    for answer in (
        served.get("/rooms", text),
        served.get("/nowhere", text),
        served.post("/rooms", text, {"x": 1}),
    ):
        assert text not in answer.text + str(answer.headers)
    stored = served.database.fetch("SELECT string_agg(k::text, '') FROM avow.api_key k")[0][0]
    assert api_keys.parse(text).secret not in stored
    assert PASSWORD not in stored
