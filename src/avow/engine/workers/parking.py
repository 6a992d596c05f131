"""What an early event says, as it lies in the queue: what of it is private is sealed there.

Under the key of the person whom its record is about, so that it goes when that person is forgotten. Where
there is no record yet, nobody can tell whom it is about: it lies under the key of the tenant until there is.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine
from avow.engine.privacy import OF_TENANT
from avow.model.entity import Entity
from avow.model.private import Cleartext, PartlyPrivate, PrivateType, with_members
from avow.model.types import Value, ValueType
from avow.store.loading import plan_record
from avow.store.queue import Work
from avow.store.reads import Reads

SEALED = "sealed"
"""The member of a parked event with what is private of its data, by member."""


class Parking:
    """Writes what an event says for the queue, and reads it there."""

    def __init__(self, engine: Engine, reads: Reads) -> None:
        self._engine, self._reads = engine, reads

    async def write(
        self, entity: Entity, kind: ValueType, place: tuple[str, UUID, UUID | None], message: str, read: Value
    ) -> str:
        """What a message says, as JSON. place: tenant, id in the queue, and the record if there is one."""
        if not isinstance(kind, PartlyPrivate):
            return json.dumps({"id": message, "data": kind.dump(read)})
        tenant, parked, record = place
        held = {name: getattr(read, name) for name in kind.private}
        data = kind.dump(with_members(read, dict.fromkeys(held)))
        sealed = dict[str, Any]()
        for name, value in held.items():
            if isinstance(value, Cleartext):
                private = kind.private[name]
                subject = await self._subject(entity, private, tenant, record)
                told = private.inner.dump(value.value)
                sealed[name] = await self._engine.vault.seal(tenant, subject, [str(parked), name], told)
        return json.dumps({"id": message, "data": data, SEALED: sealed})

    async def read(self, kind: ValueType, work: Work) -> tuple[str, Value] | None:
        """The message's id, and what is read of its data; None where whom it is about was forgotten."""
        given: dict[str, Any] = json.loads(work.given or "{}")
        data = dict(given["data"])
        for name, sealed in given.get(SEALED, {}).items():
            opened = await self._engine.vault.unseal(work.tenant, [str(work.id), name], sealed)
            if opened is None:
                return None
            data[name] = opened.value
        return given["id"], kind.parse(data, "#")

    async def _subject(self, entity: Entity, kind: PrivateType, tenant: str, record: UUID | None) -> str:
        """Whom it is about: OF_TENANT where nobody can tell yet."""
        if record is None:
            return OF_TENANT
        loaded = await self._reads.load(plan_record(self._engine.system, entity, ()), tenant, record)
        held = loaded.records.get((entity.name, record))
        return OF_TENANT if held is None else str(held.values[kind.of])
