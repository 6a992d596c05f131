"""Putting the keys of persons under a new key of keys, while everything goes on."""

from __future__ import annotations

from uuid import UUID

from avow.engine.privacy import asking
from avow.engine.privacy.keyring import Keyring
from avow.engine.privacy.vault import context_of_key
from avow.store.subjects import SubjectKeys


async def rewrap_all(keys: SubjectKeys, keyring: Keyring) -> int:
    """Wrap every key with the keyring's current key; how many were wrapped with another one.

    Nothing private is decrypted, and nothing waits. Whoever makes a key meanwhile uses the current one
    already, or is found when this is done once more.
    """
    done = 0
    after: UUID | None = None
    while True:
        batch = await keys.others(keyring.current, after)
        for tenant, subject, held in batch:
            context = context_of_key(tenant, subject, held.id)
            key = await asking.unwrap(keyring, held.kek, held.wrapped, context)
            kek, wrapped = await asking.wrap(keyring, key, context)
            done += await keys.rewrap(tenant, held, kek, wrapped)
        if not batch:
            return done
        after = batch[-1][2].id
