"""Where private values are encrypted and decrypted, with the keys of the persons whom they are about."""

from __future__ import annotations

import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from avow import canonical
from avow.canonical import JsonValue
from avow.engine.identifier import new_id
from avow.engine.privacy import asking
from avow.engine.privacy.cipher import Encrypted, Unreadable, decrypt, encrypt, new_key
from avow.engine.privacy.concealing import Concealing
from avow.engine.privacy.keyring import Keyring
from avow.errors import reject
from avow.evidence.disclosure import digest, disclosed
from avow.kernel.command import Record
from avow.model.entity import Entity
from avow.model.private import Private, PrivateType
from avow.model.types import Value, instant
from avow.store.disclosures import Disclosures, StoredDisclosure, WrappedKey, stored_of

KEYS_MAX: Final = 4_096
"""How many keys of persons are remembered."""
KEY_S_MAX: Final = 300.0
"""For how long one is: a key that was destroyed elsewhere is in no memory any more after that."""

KEYED: Final = b"\x01"
"""What a keyed digest of a request begins with; others have no such byte, see private.sql."""

OF_TENANT: Final = ""
"""Whose key that of a tenant's keyed hashes is: no person's."""


class KeyMissing(Exception):
    """The key of a person isn't at hand: it has to be fetched before what needs it is done again."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A person's key, to be used. until_s: how long it may be remembered, by the monotonic clock."""

    id: UUID
    key: bytes
    until_s: float

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


@dataclass(frozen=True, slots=True)
class Opened:
    """What stands behind a digest: its value, or the number of the entry by which it was erased."""

    value: JsonValue = None
    erased_at: int | None = None

    def __repr__(self) -> str:
        return "Opened()"

    @property
    def told(self) -> JsonValue:
        """As it is told to whom it was revealed."""
        return self.value if self.erased_at is None else {"erased_at": self.erased_at}


class Vault:
    """Keys of persons, fetched when they are needed, and made when a person is first spoken of."""

    def __init__(self, disclosures: Disclosures, keyring: Keyring) -> None:
        self._disclosures, self._keyring = disclosures, keyring
        self._keys = dict[tuple[str, str], DataKey]()

    async def keys(self, tenant: str, subjects: Iterable[str]) -> dict[str, DataKey]:
        """The keys of these persons."""
        return {subject: await self._key(tenant, subject) for subject in set(subjects)}

    def forget(self, tenant: str, subjects: Iterable[str]) -> None:
        """Don't rely any more on what is remembered of these persons: their keys may have been destroyed."""
        for subject in subjects:
            self._keys.pop((tenant, subject), None)

    async def fingerprint(self, tenant: str, plain: bytes) -> bytes:
        """The digest of a request that may hold something private, so that nobody can try what it was.

        A byte longer than others: by that an erasure knows those that it has to take away.
        """
        key = await self._key(tenant, OF_TENANT)
        return KEYED + hmac.digest(key.key, b"request" + plain, "sha256")

    async def blind(self, tenant: str, kind: str, values: Mapping[str, JsonValue]) -> dict[str, bytes]:
        """The keyed hashes by which records with these private values are found."""
        key = await self._key(tenant, OF_TENANT)
        return {field: blind(key.key, kind, field, value) for field, value in values.items()}

    def rows(
        self, tenant: str, concealing: Sequence[Concealing], keys: Mapping[str, DataKey]
    ) -> list[dict[str, Any]]:
        """Private values encrypted as they are stored. Raises KeyMissing where a key isn't at hand."""
        return [self._row(tenant, one, keys) for one in concealing]

    async def open(self, tenant: str, kind: str, record: UUID, digests: Collection[str]) -> dict[str, Opened]:
        """What stands behind these digests of one record. Raises ProblemError where one can't be opened."""
        found = dict[str, Opened]()
        for stored in await self._disclosures.read(tenant, kind, record, digests):
            found[stored.digest] = await self._opened(tenant, kind, record, stored)
        if missing := set(digests) - found.keys():
            raise reject("internal-error", f"{len(missing)} private values of this record are gone.")
        return found

    async def open_fields(
        self, tenant: str, entity: Entity, record: Record, fields: Iterable[str]
    ) -> dict[str, Value] | None:
        """Private fields of a record as typed values, in clear; None where one of them was erased."""
        held = {name: record.values.get(name) for name in fields}
        digests = [value.digest for value in held.values() if isinstance(value, Private)]
        opened = await self.open(tenant, entity.name, record.id, digests) if digests else {}
        if any(one.erased_at is not None for one in opened.values()):
            return None
        return {
            name: _typed(entity, name, opened[value.digest].value) if isinstance(value, Private) else None
            for name, value in held.items()
        }

    async def read(self, tenant: str, row: Mapping[str, Any]) -> JsonValue:
        """The value behind a row of all that is private about a person."""
        return (await self._opened(tenant, row["kind"], row["id"], stored_of(row))).value

    async def seal(self, tenant: str, subject: str, place: JsonValue, value: JsonValue) -> dict[str, str]:
        """A private value about which nothing is decided yet, as it may lie in a queue, under a person's key.

        place: where it lies, and nowhere else it can be read. The key is asked for anew: one that was
        destroyed meanwhile would take what comes after that along.
        """
        self.forget(tenant, [subject])
        key = await self._key(tenant, subject)
        made = encrypt(key.key, canonical.encode_trusted(value), _context_of_sealed(tenant, place, key.id))
        sealed = {"nonce": _text(made.nonce), "ciphertext": _text(made.ciphertext)}
        return {"subject": subject, "key": str(key.id), **sealed}

    async def unseal(self, tenant: str, place: JsonValue, sealed: Mapping[str, str]) -> Opened | None:
        """What was sealed; None where its key was destroyed."""
        kept = await self._disclosures.key(tenant, UUID(sealed["key"]))
        if kept is None:
            return None
        key = await self._unwrapped(tenant, sealed["subject"], kept)
        made = Encrypted(b64decode(sealed["nonce"]), b64decode(sealed["ciphertext"]))
        try:
            return Opened(canonical.decode(decrypt(key.key, made, _context_of_sealed(tenant, place, key.id))))
        except Unreadable:
            raise reject("internal-error", "A private value that waits was edited by hand.") from None

    async def _opened(self, tenant: str, kind: str, record: UUID, stored: StoredDisclosure) -> Opened:
        if stored.key is None:
            return Opened(erased_at=stored.erased_at)
        key = (await self._unwrapped(tenant, stored.subject, stored.key)).key
        try:
            return Opened(value_behind(key, tenant, kind, record, stored))
        except Unreadable:
            raise reject("internal-error", "A private value of this record was edited by hand.") from None

    def _row(self, tenant: str, one: Concealing, keys: Mapping[str, DataKey]) -> dict[str, Any]:
        if one.subject not in keys or (one.searchable and OF_TENANT not in keys):
            raise KeyMissing
        context = context_of_value(tenant, one.kind, one.id, one.field, one.subject)
        made = encrypt(keys[one.subject].key, one.given.disclosure.encode(), context)
        row = {
            "kind": one.kind, "id": str(one.id), "version": one.version, "field": one.field,
            "digest": one.digest, "key": str(keys[one.subject].id), "nonce": _text(made.nonce),
            "ciphertext": _text(made.ciphertext),
        }  # fmt: skip
        if one.searchable:
            row["blind"] = _text(blind(keys[OF_TENANT].key, one.kind, one.field, one.given.value))
        if one.keep_until is not None:
            row["keep_until"] = instant(one.keep_until)
        return row

    async def _key(self, tenant: str, subject: str) -> DataKey:
        held = self._keys.get((tenant, subject))
        if held is not None and held.until_s > time.monotonic():
            return held
        kept = await self._disclosures.key_of(tenant, subject)
        if kept is None:
            fresh = DataKey(new_id(), new_key(), time.monotonic() + KEY_S_MAX)
            context = context_of_key(tenant, subject, fresh.id)
            kek, wrapped = await asking.wrap(self._keyring, fresh.key, context)
            kept = await self._disclosures.keep_key(tenant, subject, WrappedKey(fresh.id, wrapped, kek))
            self._keys[tenant, subject] = fresh  # it is the person's, unless another one was made meanwhile
        return await self._unwrapped(tenant, subject, kept)

    async def _unwrapped(self, tenant: str, subject: str, kept: WrappedKey) -> DataKey:
        held = self._keys.pop((tenant, subject), None)
        if held is None or held.id != kept.id or held.until_s <= time.monotonic():
            context = context_of_key(tenant, subject, kept.id)
            key = await asking.unwrap(self._keyring, kept.kek, kept.wrapped, context)
            held = DataKey(kept.id, key, time.monotonic() + KEY_S_MAX)
        self._keys[tenant, subject] = held  # so that the one used longest ago stands first
        if len(self._keys) > KEYS_MAX:
            del self._keys[next(iter(self._keys))]
        return held


def value_behind(key: bytes, tenant: str, kind: str, record: UUID, stored: StoredDisclosure) -> JsonValue:
    """The value behind a digest of a record. Raises Unreadable where it isn't what that is the digest of."""
    context = context_of_value(tenant, kind, record, stored.field, stored.subject)
    text = decrypt(key, Encrypted(stored.nonce, stored.ciphertext), context).decode()
    if digest(text) != stored.digest:
        raise Unreadable
    return disclosed(text).value


def blind(key: bytes, kind: str, field: str, value: JsonValue) -> bytes:
    """The keyed hash by which equal values of one field are found; of another field it is another one."""
    return hmac.digest(key, canonical.encode_trusted([kind, field, value]), sha256)


def _typed(entity: Entity, name: str, told: JsonValue) -> Value:
    kind = entity.fields[name].type
    return kind.inner.parse(told, name) if isinstance(kind, PrivateType) else told


def context_of_key(tenant: str, subject: str, key: UUID) -> bytes:
    """What the key of a person, as it is wrapped, belongs to."""
    return canonical.encode_trusted(["avow subject key 1", tenant, subject, str(key)])


def context_of_value(tenant: str, kind: str, record: UUID, field: str, subject: str) -> bytes:
    """What a private value belongs to."""
    return canonical.encode_trusted(["avow disclosure 1", tenant, kind, str(record), field, subject])


def _context_of_sealed(tenant: str, place: JsonValue, key: UUID) -> bytes:
    return canonical.encode_trusted(["avow sealed value 1", tenant, place, str(key)])


def _text(data: bytes) -> str:
    return b64encode(data).decode()
