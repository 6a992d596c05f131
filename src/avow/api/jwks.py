"""An issuer's public keys, found by key id: fetched when needed, kept when fetching fails.

It must never fetch more often than once per cooldown, whatever tokens arrive, never take a symmetric
or private key from a set, and never give up a good key because the issuer is out of reach. The price
of the last is stated: a key that the issuer withdraws stays valid here until a fetch succeeds.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from avow.api import base64url, json_text
from avow.api.bearer import ALGORITHMS
from avow.errors import ProblemError

SET_BYTES_MAX: Final = 256 * 1024
KEYS_MAX: Final = 64
RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
COOLDOWN_S_MIN: Final = 30.0
UNKNOWN_KEY_IDS_MAX: Final = 256

Fetch = Callable[[str], Awaitable[bytes]]
PublicKey = RSAKey | ECKey | OKPKey

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY_ID_CHARACTERS_MAX: Final = 255
# Only these members are handed on: the type, then what makes the key itself.
_KEY_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
_ALGORITHMS_OF: Final = {
    "RSA": frozenset({"RS256", "PS256"}),
    "EC": frozenset({"ES256"}),
    "OKP": frozenset({"EdDSA", "Ed25519"}),
}
_MATERIAL: Final = re.compile(r"[A-Za-z0-9_-]{1,2048}", re.ASCII)

_log = logging.getLogger("avow.jwks")


class FetchFailed(Exception):
    """The key set could not be fetched or holds no key that can be used; `str()` says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key of a set, and the algorithms that it may be used with."""

    key_id: str | None
    key: PublicKey
    algorithms: frozenset[str]


def demand_safe_url(url: str) -> str:
    """Accept https, or http to loopback for development; raises ValueError for anything else."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if (
        not safe
        or not parts.hostname
        or parts.username is not None
        or not url.isascii()
        or not url.isprintable()
    ):
        raise ValueError("the address of a key set starts with https:// (or http:// for loopback)")
    return url


def parse_set(raw: bytes) -> tuple[VerificationKey, ...]:
    """The keys of a JWKS document that may verify tokens; the others are passed over.

    Passed over are symmetric and private keys, keys for encryption, other algorithms and curves, RSA
    keys of unusual size, and every key whose id stands twice. Raises FetchFailed for a document that
    is no key set, is too large, or holds no usable key.
    """
    if len(raw) > SET_BYTES_MAX:
        raise FetchFailed(f"the key set has more than {SET_BYTES_MAX} bytes")
    try:
        document = json_text.loads(raw)
    except ProblemError:
        raise FetchFailed("the key set is not strict JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise FetchFailed(f"the key set has no list of at most {KEYS_MAX} keys")
    ids = [item.get("kid") for item in listed if isinstance(item, dict)]
    found = (_read_key(item) for item in listed if isinstance(item, dict) and ids.count(item.get("kid")) == 1)
    keys = tuple(key for key in found if key is not None)
    if not keys:
        raise FetchFailed("the key set holds no key that can be used")
    return keys


class KeySet:
    """The keys of one issuer, by key id. One instance per issuer and event loop."""

    def __init__(
        self,
        url: str,
        fetch: Fetch,
        *,
        ttl_s: float = 3600.0,
        cooldown_s: float = COOLDOWN_S_MIN,
        fetch_timeout_s: float = 5.0,
    ) -> None:
        if cooldown_s < COOLDOWN_S_MIN:
            raise ValueError(f"the cooldown is at least {COOLDOWN_S_MIN} s")
        self._url = demand_safe_url(url)
        self._fetch = fetch
        self._ttl_s = ttl_s
        self._cooldown_s = cooldown_s
        self._fetch_timeout_s = fetch_timeout_s
        self._keys: tuple[VerificationKey, ...] = ()
        self._fresh_until_s = float("-inf")
        self._next_fetch_at_s = float("-inf")
        self._unknown_until_s: OrderedDict[str, float] = OrderedDict()
        self._fetching: asyncio.Task[None] | None = None

    @property
    def empty(self) -> bool:
        """Whether no fetch has succeeded yet: then nothing can be said of any token."""
        return not self._keys

    async def find(self, key_id: str | None, algorithm: str, now_s: float) -> PublicKey | None:
        """The key for a token, or None if the issuer has none.

        now_s: any clock that never goes back. A token without a key id is verified only if exactly
        one key fits its algorithm. Waits for a fetch only if the key is not there.
        """
        if now_s >= self._fresh_until_s:
            self._start_fetch(now_s)
        known = self._lookup(key_id, algorithm)
        if known is not None or self._is_known_unknown(key_id, now_s):
            return known
        self._start_fetch(now_s)
        if self._fetching is not None:
            # Shielded: a caller that gives up must not cancel the fetch that others wait for.
            await asyncio.shield(self._fetching)
            known = self._lookup(key_id, algorithm)
        if known is None and key_id is not None and self._keys:
            self._remember_unknown(key_id, now_s)
        return known

    def _lookup(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if key_id is not None:
            fitting = [key for key in fitting if key.key_id == key_id]
        return fitting[0].key if len(fitting) == 1 else None

    def _is_known_unknown(self, key_id: str | None, now_s: float) -> bool:
        return key_id is not None and now_s < self._unknown_until_s.get(key_id, float("-inf"))

    def _remember_unknown(self, key_id: str, now_s: float) -> None:
        self._unknown_until_s[key_id] = now_s + self._cooldown_s
        self._unknown_until_s.move_to_end(key_id)
        while len(self._unknown_until_s) > UNKNOWN_KEY_IDS_MAX:
            self._unknown_until_s.popitem(last=False)

    def _start_fetch(self, now_s: float) -> None:
        if self._fetching is not None or now_s < self._next_fetch_at_s:
            return
        self._next_fetch_at_s = now_s + self._cooldown_s
        self._fetching = asyncio.create_task(self._refresh(now_s))

    async def _refresh(self, now_s: float) -> None:
        try:
            async with asyncio.timeout(self._fetch_timeout_s):
                raw = await self._fetch(self._url)
            self._keys = parse_set(raw)
            self._fresh_until_s = now_s + self._ttl_s
            self._unknown_until_s.clear()
        except (FetchFailed, OSError) as error:  # TimeoutError is an OSError
            _log.warning("keys of an issuer could not be fetched, %d are kept: %s", len(self._keys), error)
        finally:
            self._fetching = None


def _read_key(item: Mapping[str, Any]) -> VerificationKey | None:
    kind = item.get("kty")
    members = _KEY_MEMBERS.get(kind) if isinstance(kind, str) else None
    if members is None or not isinstance(kind, str) or "d" in item or not _may_verify(item):
        return None
    if kind in _CURVES and item.get("crv") != _CURVES[kind]:
        return None
    key_id, algorithm = item.get("kid"), item.get("alg")
    if key_id is not None and not (isinstance(key_id, str) and 1 <= len(key_id) <= _KEY_ID_CHARACTERS_MAX):
        return None
    algorithms = _ALGORITHMS_OF[kind] & ALGORITHMS
    if algorithm is not None:
        algorithms &= {algorithm} if isinstance(algorithm, str) else set()
    material = {name: item.get(name) for name in members}
    well_formed = all(isinstance(text, str) and _MATERIAL.fullmatch(text) for text in material.values())
    if not algorithms or not well_formed:
        return None
    key = _import_key(kind, cast("dict[str, str]", material), key_id)
    return None if key is None else VerificationKey(key_id, key, algorithms)


def _may_verify(item: Mapping[str, Any]) -> bool:
    operations = item.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return False
    return item.get("use") in (None, "sig")


def _import_key(kind: str, material: dict[str, str], key_id: str | None) -> PublicKey | None:
    value: Any = {"kty": kind, **material, **({} if key_id is None else {"kid": key_id})}
    try:
        if kind == "RSA":
            bits = int.from_bytes(base64url.decode(material["n"]), "big").bit_length()
            return RSAKey.import_key(value) if RSA_BITS_MIN <= bits <= RSA_BITS_MAX else None
        return ECKey.import_key(value) if kind == "EC" else OKPKey.import_key(value)
    except (JoseError, ValueError):
        return None
