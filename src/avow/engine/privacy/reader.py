"""Whether private values that are stored can still be read. What they are is told to nobody."""

from __future__ import annotations

from uuid import UUID

from avow.engine.privacy.cipher import Unreadable
from avow.engine.privacy.keyring import Keyring
from avow.engine.privacy.vault import OF_TENANT, blind, context_of_key, value_behind
from avow.errors import EnvironmentFault
from avow.store.disclosures import StoredDisclosure, WrappedKey

KEYS_MAX = 4_096
"""How many keys are remembered."""


class Reader:
    """Opens what is stored with the keys of keys that are here, and forgets it."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._keys = dict[tuple[str, str, WrappedKey], bytes]()

    def holds(
        self, tenant: str, kind: str, record: UUID, stored: StoredDisclosure,
        searched: tuple[WrappedKey | None, bytes] | None,
    ) -> bool:  # fmt: skip
        """Whether a value can be read, is the one that its digest stands for, and is found by its keyed hash.

        searched: the key of the tenant's hashes, and the hash; None where it has none.
        """
        if stored.key is None:
            return False
        try:
            key = self._key(tenant, stored.subject, stored.key)
            value = value_behind(key, tenant, kind, record, stored)
            if searched is None:
                return True
            own, hashed = searched
            return own is not None and hashed == blind(
                self._key(tenant, OF_TENANT, own), kind, stored.field, value
            )
        except (Unreadable, EnvironmentFault):
            return False

    def _key(self, tenant: str, subject: str, wrapped: WrappedKey) -> bytes:
        held = self._keys.get((tenant, subject, wrapped))
        if held is None:
            context = context_of_key(tenant, subject, wrapped.id)
            held = self._keyring.unwrap(wrapped.kek, wrapped.wrapped, context)
            if len(self._keys) >= KEYS_MAX:
                del self._keys[next(iter(self._keys))]
            self._keys[tenant, subject, wrapped] = held
        return held
