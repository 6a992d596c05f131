"""What is said of a token whose issuer can't be asked."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from avow.api import base64url
from avow.api.authentication import Authenticator, Trust
from avow.api.bearer import Issuer
from avow.api.headers import Headers
from avow.api.jwks import KeySet
from avow.errors import ProblemError

ISSUER = "https://login.example.org/"


def token() -> bytes:
    """A token that reads well and that nobody has signed."""
    parts = ({"alg": "RS256", "kid": "k"}, {"iss": ISSUER, "sub": "ann"})
    return ".".join([*(base64url.encode(json.dumps(part).encode()) for part in parts), "AAAA"]).encode()


class _Reads:
    """Nothing is read here."""

    api_key = None


async def test_a_token_is_not_called_invalid_while_no_key_of_its_issuer_was_ever_fetched() -> None:
    """A client that is told 401 throws a good token away; what nobody can tell yet is 503."""
    answers: list[bytes] = []

    async def fetch(url: str) -> bytes:
        if not answers:
            raise OSError("down")
        return answers[0]

    keys = KeySet("https://login.example.org/keys", fetch)
    trust = Trust({ISSUER: (Issuer(ISSUER, "shop"), keys)})
    authenticator = Authenticator(trust, cast("Any", _Reads()))
    with pytest.raises(ProblemError) as caught:
        await authenticator.identify(Headers([(b"authorization", b"Bearer " + token())]))
    assert caught.value.problem.status == 503
    key = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(bytes(31) + b"\x01"), "kid": "other"}
    answers.append(json.dumps({"keys": [key]}).encode())
    assert await keys.find("k", "EdDSA", 1e9) is None
    with pytest.raises(ProblemError) as caught:
        await authenticator.identify(Headers([(b"authorization", b"Bearer " + token())]))
    assert caught.value.problem.code == "unauthenticated"
