"""Keys are found without ever flooding the issuer, and good keys outlive its failures."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from avow.api.jwks import (
    KEYS_MAX,
    SET_BYTES_MAX,
    UNKNOWN_KEY_IDS_MAX,
    FetchFailed,
    KeySet,
    demand_safe_url,
    parse_set,
)
from avow.api.jwks_fetch import fetch

RSA: dict[str, Any] = dict(RSAKey.generate_key(2048).as_dict(private=False))
EC: dict[str, Any] = dict(ECKey.generate_key("P-256").as_dict(private=False))
ED: dict[str, Any] = dict(OKPKey.generate_key("Ed25519").as_dict(private=False))
URL = "https://id.example/keys"


def _set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


class Issuer:
    """A fetch function under the test's control; it counts its calls."""

    def __init__(self, *keys: Any) -> None:
        self.raw = _set(*keys)
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.calls = 0
        self.asked = asyncio.Event()

    async def __call__(self, url: str) -> bytes:
        assert url == URL
        self.calls += 1
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.raw


async def _settle(keys: KeySet) -> None:
    while (task := keys._fetching) is not None:  # pyright: ignore[reportPrivateUsage]
        await task


async def test_a_known_key_is_found_with_one_fetch() -> None:
    issuer = Issuer({**RSA, "kid": "r"}, {**EC, "kid": "e"})
    keys = KeySet(URL, issuer)
    for now_s in range(100):
        found = await keys.find("r", "RS256", now_s)
        assert found is not None
        assert found.kid == "r"
    assert await keys.find("e", "ES256", 100) is not None
    assert issuer.calls == 1


async def test_a_key_serves_only_its_own_algorithms() -> None:
    keys = KeySet(URL, Issuer({**RSA, "kid": "r", "alg": "PS256"}, {**EC, "kid": "e"}))
    assert await keys.find("r", "PS256", 0) is not None
    assert await keys.find("r", "RS256", 0) is None
    assert await keys.find("e", "RS256", 0) is None
    assert await keys.find("r", "HS256", 0) is None


async def test_a_token_without_key_id_needs_exactly_one_fitting_key() -> None:
    one = KeySet(URL, Issuer({**RSA, "kid": "r"}, {**EC, "kid": "e"}))
    assert await one.find(None, "RS256", 0) is not None
    other = RSAKey.generate_key(2048).as_dict(private=False)
    two = KeySet(URL, Issuer({**RSA, "kid": "r"}, {**other, "kid": "s"}))
    assert await two.find(None, "RS256", 0) is None


async def test_concurrent_callers_share_one_fetch() -> None:
    issuer = Issuer({**RSA, "kid": "r"})
    issuer.gate = asyncio.Event()
    keys = KeySet(URL, issuer)
    waiting = [asyncio.create_task(keys.find("r", "RS256", 0)) for _ in range(50)]
    await issuer.asked.wait()
    waiting[0].cancel()
    issuer.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(key, RSAKey) for key in found[1:])
    assert issuer.calls == 1


async def test_a_flood_of_unknown_key_ids_costs_one_fetch_per_cooldown() -> None:
    issuer = Issuer({**RSA, "kid": "r"})
    keys = KeySet(URL, issuer, cooldown_s=30, ttl_s=10_000)
    for number in range(3000):
        assert await keys.find(f"x{number}", "RS256", number / 100) is None
    assert issuer.calls == 1
    assert len(keys._unknown_until_s) == UNKNOWN_KEY_IDS_MAX  # pyright: ignore[reportPrivateUsage]
    assert await keys.find("y", "RS256", 30) is None
    assert issuer.calls == 2
    assert await keys.find("r", "RS256", 30) is not None


async def test_a_rotated_key_is_found_after_the_cooldown_and_the_old_one_goes() -> None:
    issuer = Issuer({**RSA, "kid": "old"})
    keys = KeySet(URL, issuer)
    assert await keys.find("old", "RS256", 0) is not None
    issuer.raw = _set({**EC, "kid": "new"})
    assert await keys.find("new", "ES256", 10) is None
    assert await keys.find("new", "ES256", 40) is not None
    assert await keys.find("old", "RS256", 41) is None
    assert issuer.calls == 2


@pytest.mark.parametrize("error", [OSError("down"), TimeoutError(), FetchFailed("no")])
async def test_a_failing_issuer_never_evicts_good_keys(error: Exception) -> None:
    issuer = Issuer({**RSA, "kid": "r"})
    keys = KeySet(URL, issuer, ttl_s=100)
    assert await keys.find("r", "RS256", 0) is not None
    issuer.error = error
    for now_s in range(100, 400, 10):
        assert await keys.find("r", "RS256", now_s) is not None
        await _settle(keys)
    assert issuer.calls == 1 + 10
    issuer.error, issuer.raw = None, b"{}"
    assert await keys.find("r", "RS256", 500) is not None
    await _settle(keys)
    assert await keys.find("r", "RS256", 501) is not None


async def test_stale_keys_are_refreshed_without_making_anybody_wait() -> None:
    issuer = Issuer({**RSA, "kid": "r"})
    keys = KeySet(URL, issuer, ttl_s=100)
    await keys.find("r", "RS256", 0)
    issuer.gate = asyncio.Event()
    assert await keys.find("r", "RS256", 100) is not None
    issuer.gate.set()
    await _settle(keys)
    assert issuer.calls == 2
    assert await keys.find("r", "RS256", 150) is not None
    assert issuer.calls == 2


async def test_an_issuer_that_never_answers_is_given_up() -> None:
    issuer = Issuer({**RSA, "kid": "r"})
    issuer.gate = asyncio.Event()
    keys = KeySet(URL, issuer, fetch_timeout_s=0.05)
    assert await keys.find("r", "RS256", 0) is None
    assert await keys.find("r", "RS256", 1) is None
    assert issuer.calls == 1
    issuer.gate.set()
    assert await keys.find("r", "RS256", 31) is not None


SMALL_RSA = {
    "kty": "RSA",
    "n": "AQAB" * 40,
    "e": "AQAB",
}


@pytest.mark.parametrize(
    "key",
    [
        {**OctKey.import_key(b"s" * 32).as_dict(), "kid": "x"},
        {**RSA, "kid": "x", "use": "enc"},
        {**RSA, "kid": "x", "use": 1},
        {**RSA, "kid": "x", "key_ops": ["encrypt"]},
        {**RSA, "kid": "x", "key_ops": "verify"},
        {**RSA, "kid": "x", "alg": "RS512"},
        {**RSA, "kid": "x", "alg": ["RS256"]},
        {**RSA, "kid": "x", "d": "AQAB"},
        {**RSA, "kid": 1},
        {**RSA, "kid": ""},
        {**RSA, "kid": "k" * 256},
        {**RSA, "kid": "x", "n": 5},
        {**RSA, "kid": "x", "n": "!!"},
        {"kty": "RSA", "kid": "x"},
        {**SMALL_RSA, "kid": "x"},
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "x"},
        {**EC, "kid": "x", "y": EC["x"]},
        {**OKPKey.generate_key("X25519").as_dict(private=False), "kid": "x"},
        {"kty": ["RSA"], "kid": "x"},
        {"kid": "x"},
        [],
        None,
    ],
)
def test_a_key_that_may_not_verify_tokens_is_passed_over(key: Any) -> None:
    assert [found.key_id for found in parse_set(_set({**ED, "kid": "good"}, key))] == ["good"]
    with pytest.raises(FetchFailed):
        parse_set(_set(key))


def test_a_key_id_that_stands_twice_names_no_key() -> None:
    assert [
        key.key_id for key in parse_set(_set({**RSA, "kid": "a"}, {**EC, "kid": "a"}, {**ED, "kid": "b"}))
    ] == ["b"]


def test_certificates_and_private_members_are_not_handed_on() -> None:
    (key,) = parse_set(_set({**RSA, "kid": "a", "x5c": ["zz"], "x5u": "https://evil", "use": "sig"}))
    assert set(key.key.as_dict()) == {"kty", "n", "e", "kid"}


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b"\xff", b"<html>", b'{"keys":[],"keys":[]}'),
        _set(*[{**RSA, "kid": str(number)} for number in range(KEYS_MAX + 1)]),
        b" " * (SET_BYTES_MAX + 1),
    ],
    ids=range(10),
)
def test_what_is_no_key_set_fails(raw: bytes) -> None:
    with pytest.raises(FetchFailed):
        parse_set(raw)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/",
        "ftp://a/",
        "file:///etc/passwd",
        "https://",
        "//a",
        "https://u:p@a/",
        "https://a/\r\nx",
    ],
)
def test_only_https_or_loopback_is_fetched(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        demand_safe_url(url)
    for good in (URL, "http://127.0.0.1:8080/x", "http://localhost/", "http://[::1]:1/"):
        assert demand_safe_url(good) == good


def test_the_cooldown_has_a_floor() -> None:
    with pytest.raises(ValueError, match="cooldown"):
        KeySet(URL, Issuer(), cooldown_s=29)


@contextmanager
def _answering(*pieces: bytes, close: bool = True) -> Iterator[str]:
    """A server on loopback that answers one connection with `pieces`, and holds it open if asked to."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
            if not close:
                done.wait(10)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/keys?x=1"
    finally:
        done.set()
        thread.join(10)
        listener.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ],
)
async def test_a_document_is_fetched(answer: bytes) -> None:
    with _answering(answer[:30], answer[30:], close=False) as url:
        assert await fetch(url) == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_any_other_answer_fails(answer: bytes) -> None:
    with _answering(answer) as url, pytest.raises(FetchFailed):
        await fetch(url)


async def test_an_answer_over_the_bound_fails_before_it_is_read_whole() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"
    with _answering(head, b"x" * 400_000, close=False) as url, pytest.raises(FetchFailed, match="large"):
        await fetch(url)


async def test_a_silent_server_is_left_at_the_deadline() -> None:
    with _answering(b"HTTP/1.1 200 OK\r\n", close=False) as url:
        keys = KeySet(url, fetch, fetch_timeout_s=0.1)
        assert await keys.find("r", "RS256", 0) is None
