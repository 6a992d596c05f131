"""What a request carries: the call's key, its trace, and credentials only to whom they belong."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from avow.engine.outside import AddressRefused, BlockingHttp, Destination, Http, Outside, Response
from avow.engine.outside.trace import traceparent_below
from avow.model.outcome import NotDone
from tests.unit.engine.outside.server import Heard, answering, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CREDENTIAL = {"Authorization": "Bearer sk_secret"}


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def bound(made: Outside, heard: Heard, path: str = "/v1/", **more: Any) -> Http:
    destination = Destination("pay", heard.url(path), CREDENTIAL, allow_private=True)
    return made.http(destination, key="call-1", deadline=time.monotonic() + 20, **more)


async def sent(method: str, url: str = "/charges", path: str = "/v1/", **options: Any) -> Heard:
    async with serving(answering(200)) as heard:
        made = Outside()
        await bound(made, heard, path, traceparent=TRACEPARENT).request(method, url, **options)
        await made.aclose()
        return heard


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_may_change_something_carries_the_key_of_the_call(method: str) -> None:
    assert (await sent(method)).headers()["idempotency-key"] == "call-1"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_only_reads_carries_no_key(method: str) -> None:
    assert "idempotency-key" not in (await sent(method)).headers()


async def test_a_key_of_the_caller_s_own_goes_first() -> None:
    heard = await sent("POST", headers={"Idempotency-Key": "call-1-refund"})
    assert heard.headers()["idempotency-key"] == "call-1-refund"
    assert heard.requests[0].lower().count(b"idempotency-key") == 1


async def test_a_request_belongs_to_the_call_s_trace_with_a_parent_of_its_own() -> None:
    given = (await sent("GET")).headers()["traceparent"].split("-")
    assert (given[0], given[1], given[3]) == ("00", TRACE, "01")
    assert given[2] not in ("00f067aa0ba902b7", "0" * 16)


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        TRACEPARENT.upper(),
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{TRACEPARENT}-more",
        f"{TRACEPARENT}\r\nx: y",
    ],
)
def test_a_broken_trace_begins_a_new_one(broken: str) -> None:
    fresh = traceparent_below(broken).split("-")
    assert [len(part) for part in fresh] == [2, 32, 16, 2]
    assert fresh[1] not in (TRACE, "0" * 32)


def test_a_later_version_of_the_trace_is_read_as_far_as_it_is_known() -> None:
    assert traceparent_below(f"01-{TRACE}-00f067aa0ba902b7-03-more").startswith(f"00-{TRACE}-")
    assert traceparent_below(f"01-{TRACE}-00f067aa0ba902b7-03-more").endswith("-01")


async def test_we_say_who_we_are_and_ask_for_no_coding() -> None:
    headers = (await sent("GET")).headers()
    assert headers["user-agent"].startswith("avow/")
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "url", "target"),
    [
        ("/v1/", "/charges", "/v1/charges"),
        ("/v1", "charges?a=1", "/v1/charges?a=1"),
        ("", "/charges", "/charges"),
        ("/v1/", "", "/v1/"),
    ],
)
async def test_a_relative_url_is_below_the_base_url(path: str, url: str, target: str) -> None:
    assert (await sent("GET", url, path)).start() == f"GET {target} HTTP/1.1"


async def test_json_and_params_are_written_out() -> None:
    heard = await sent("POST", "/charges?a=1", json={"amount": 5}, params={"b": "x y"})
    assert heard.start() == "POST /v1/charges?a=1&b=x+y HTTP/1.1"
    assert heard.requests[0].endswith(b'\r\n\r\n{"amount":5}')
    assert heard.headers()["content-type"] == "application/json"


async def test_credentials_go_to_their_own_scheme_host_and_port_alone() -> None:
    async with serving(answering(200)) as heard, serving(answering(200)) as other:
        made = Outside(resolver=here)
        base = heard.url(host="pay.test")
        http = made.http(Destination("pay", base, CREDENTIAL, True), key="k", deadline=time.monotonic() + 20)
        await http.get(heard.url("/absolute", host="PAY.test"))
        assert heard.headers()["authorization"] == "Bearer sk_secret"
        for url in (other.url(host="pay.test"), heard.url(host="other.test")):
            with pytest.raises(AddressRefused):
                await http.get(url)
        everywhere = Destination("any", allow_private=True)
        await made.http(everywhere, key="k", deadline=time.monotonic() + 20).get(other.url())
        assert "authorization" not in other.headers()
        await made.aclose()


@pytest.mark.parametrize("url", ["https://pay.test/", "http://pay.test:81/", "http://other.test/"])
def test_another_origin_gets_no_credentials(url: str) -> None:
    pay = Destination("pay", "http://pay.test/", CREDENTIAL)
    http = Outside().http(pay, key="k", deadline=0)
    headers = http._headers("GET", pay.url(url), {})  # pyright: ignore[reportPrivateUsage]
    assert "authorization" not in headers


def test_a_destination_shows_no_credential_and_cannot_have_one_for_everywhere() -> None:
    assert "sk_secret" not in repr(Destination("pay", "https://pay.test", CREDENTIAL))
    with pytest.raises(ValueError, match="no base URL"):
        Destination("pay", None, CREDENTIAL)
    with pytest.raises(ValueError, match="base URL of destination pay"):
        Destination("pay", "ftp://pay.test")


async def test_tenants_with_other_credentials_share_no_connection_and_no_cookie() -> None:
    async with serving(answering(200, b"{}", "set-cookie: session=1; Path=/")) as heard:
        made = Outside()
        for token in ("a", "b", "a"):
            pay = Destination("pay", heard.url(), {"authorization": token}, allow_private=True)
            await made.http(pay, key="k", deadline=time.monotonic() + 20).get("/")
        await made.aclose()
        assert [heard.headers(number)["authorization"] for number in range(3)] == ["a", "b", "a"]
        assert heard.connections == 2
        assert b"cookie:" not in b"".join(heard.requests).lower()


async def test_neither_a_proxy_nor_a_netrc_of_the_environment_is_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(answering(200)) as heard:
        made = Outside()
        free = Destination("free", heard.url(), allow_private=True)
        await made.http(free, key="k", deadline=time.monotonic() + 20).get("/")
        await made.aclose()
        assert "authorization" not in heard.headers()


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"x": "sk_secret\r\ny: 1"}},
        {"headers": {"x y": "sk_secret"}},
        {"headers": {"Host": "sk_secret"}},
        {"headers": {"Content-Length": "5"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"json": {}, "content": b"sk_secret"},
        {"method": "GET / HTTP/1.1\r\nx:"},
        {"method": "CONNECT"},
    ],
)
async def test_a_request_that_cannot_be_is_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    async with serving(answering(200)) as heard:
        made = Outside()
        method = options.pop("method", "POST")
        with pytest.raises(ValueError, match=r"header|json|method") as raised:
            await bound(made, heard).request(method, "/", **options)
        await made.aclose()
        assert "sk_secret" not in str(raised.value)
        assert heard.connections == 0


async def test_a_function_in_a_thread_gets_the_same_and_the_loop_is_not_blocked_by_it() -> None:
    async with serving(answering(201)) as heard:
        made = Outside()
        blocking = BlockingHttp(bound(made, heard), asyncio.get_running_loop())
        answer = await asyncio.to_thread(blocking.post, "/charges", json={})
        assert isinstance(answer, Response)
        assert answer.status == 201
        assert heard.headers()["idempotency-key"] == "call-1"
        with pytest.raises(RuntimeError, match="awaits Http"):
            blocking.get("/")
        await made.aclose()
        with pytest.raises(NotDone):
            await asyncio.to_thread(BlockingHttp(bound(made, Heard(1)), asyncio.get_running_loop()).get, "/")
        await made.aclose()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's settings with a certificate for this name, and a client's that trust it."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("192.0.2.1"))])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cafile=str(folder / "server.pem"))


@pytest.mark.parametrize(("host", "trusted"), [("pay.test", True), ("other.test", False)])
async def test_a_certificate_is_judged_by_the_name_though_the_address_is_fixed(
    host: str, trusted: bool, tmp_path: Path
) -> None:
    server, client = certificate(tmp_path, "pay.test")
    async with serving(answering(200), tls=server) as heard:
        made = Outside(resolver=here, ssl_context=client)
        pay = Destination("pay", heard.url(host=host, scheme="https"), allow_private=True)
        http = made.http(pay, key="k", deadline=time.monotonic() + 20)
        if trusted:
            assert (await http.post("/")).status == 200
        else:
            with pytest.raises(NotDone):
                await http.post("/")
            assert heard.requests == []
        await made.aclose()
