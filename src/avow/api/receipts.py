"""Receipts over HTTP: `GET /{plural}/{id}/receipt?claim=...`, for who may see all that a receipt shows."""

from __future__ import annotations

from typing import Final

from avow.api.authorization import RightToCall
from avow.api.exchange import Exchange, Line, Response
from avow.api.headers import preferred_wait_s
from avow.api.ingress import read_receipt_query
from avow.engine.log.proving import Logs
from avow.engine.log.receipts import WAIT_S_MAX, Asked, issue
from avow.errors import reject
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.reads import Reads

_APPLIED: Final[Line] = (b"preference-applied", b"wait")


class Receipts:
    """Answers what happened to one entity's records, such that it can be shown to others."""

    def __init__(self, system: System, reads: Reads, logs: Logs, entity: Entity) -> None:
        self._system, self._reads, self._logs, self._entity = system, reads, logs, entity
        self._right = RightToCall([entity.read], f"Reading {entity.plural}")

    async def receipt(self, exchange: Exchange) -> Response:
        """A receipt of the newest entry that makes the claim true, or of the version that is asked for."""
        self._right.demand(exchange.actor)
        if exchange.record is None:
            raise LookupError("a receipt is of a record, by its id")
        query = read_receipt_query(exchange.query)
        wait_s = preferred_wait_s(exchange.headers, WAIT_S_MAX)
        asked = Asked(self._entity, exchange.record, query.claim, query.version, wait_s or 0.0)
        issued = await issue(self._system, self._reads, self._logs, exchange.actor, asked)
        if issued is None:
            raise reject("not-found")
        return Response.json(issued.document, () if wait_s is None else (_APPLIED,))
