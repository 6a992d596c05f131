"""Events over HTTP: a sender's message, believed for its signature, becomes what it happens to.

Nothing of a message is parsed before its signature is known to be right, and its tenant is that of the secret
which signed it, never one that the message names. What is answered says what became of it and nothing else.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, cast

from avow.api import json_text
from avow.api.exchange import JSON_LINE, REPLAYED_LINE, Exchange, Response
from avow.engine.workers.hearing import Hearing, Message, Outcome
from avow.errors import Problem, ProblemError, reject
from avow.model import signature
from avow.model.sender import Sender
from avow.model.signature import SignatureRefused
from avow.model.types import Flaw, Misfit, ObjectOf, Value, ValueType

TYPE_CHARACTERS_MAX: Final = 200

Secrets: TypeAlias = Mapping[str, Sequence[str]]
"""Of one sender, by tenant: the secrets that are valid now, several while one replaces the other."""

_STATUS: Final = {Outcome.PARKED: 202, Outcome.NOTED: 202, Outcome.APPLIED: 200, Outcome.REFUSED: 200}
_NO_BEARER: Final = {"www-authenticate": "Signature"}

_log = logging.getLogger("avow.api")


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a right signature says."""

    tenant: str
    id: str


class Door:
    """Answers the messages of one sender. secrets: those that are believed; without one, nothing is."""

    def __init__(self, sender: Sender, secrets: Secrets, hearing: Hearing) -> None:
        self._sender, self._secrets, self._hearing = sender, secrets, hearing

    async def answer(self, exchange: Exchange) -> Response:
        """Let the event of a message happen, or say why it isn't believed or can't be read."""
        exchange.demand_no_query()
        body = await exchange.body()
        signed = self._demand_signature(exchange, body)
        document = json_text.loads(body)
        named = _at(document, self._sender.type_at)
        if not isinstance(named, str) or not _is_type(named):
            flaw = Flaw(f"#{self._sender.type_at}", "not-a-type", "must be the type of an event")
            raise _unreadable([flaw])
        message = Message(self._sender, signed.tenant, signed.id, named, exchange.request_id)
        kinds = self._hearing.reads_of(self._sender.name, named)
        if not kinds:
            return await self._answer_unknown(message)
        data = [self._read(kind, document) for kind in kinds]
        return _told(*await self._hearing.hear(message, data))

    def _demand_signature(self, exchange: Exchange, body: bytes) -> _Signed:
        """Whose message it is. Raises `signature-invalid`, and tells of the first tenant's secrets why."""
        refused: SignatureRefused | None = None
        now = datetime.fromtimestamp(time.time(), UTC)
        for tenant, secrets in self._secrets.items():
            try:
                said = signature.verify(self._sender.scheme, secrets, exchange.headers.lines(), body, now)
            except SignatureRefused as error:
                refused = refused or error
            else:
                return _Signed(tenant, said.id)
        reason = "secret-missing" if refused is None else refused.reason
        _log.warning("a message from %s was not believed: %s", self._sender.name, reason)
        raise ProblemError(Problem("signature-invalid", extra={"reason": reason}), _NO_BEARER)

    async def _answer_unknown(self, message: Message) -> Response:
        if self._sender.strict:
            raise reject("event-unknown")
        await self._hearing.note(message)
        return _told(Outcome.NOTED, False)

    def _read(self, kind: ValueType, document: Any) -> Value:
        """What the declaration reads of the data; members that it doesn't name are left alone."""
        pointer, raw = f"#{self._sender.data_at}", _at(document, self._sender.data_at)
        if isinstance(kind, ObjectOf) and isinstance(raw, dict):
            given = cast("dict[str, Any]", raw)
            raw = {member.name: given[member.name] for member in kind.members if member.name in given}
        try:
            return kind.parse(raw, pointer)
        except Misfit as misfit:
            raise _unreadable(misfit.flaws) from None


def _at(document: Any, pointer: str) -> Any:
    """The value at a place of a document (RFC 6901), through objects alone; None where there is none."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        document = cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
    return document


def _is_type(named: str) -> bool:
    return 0 < len(named) <= TYPE_CHARACTERS_MAX and all("!" <= character <= "~" for character in named)


def _unreadable(flaws: Sequence[Flaw]) -> ProblemError:
    errors = [{"pointer": flaw.pointer, "code": flaw.code, "detail": flaw.detail} for flaw in flaws]
    return reject("event-invalid", "The message does not fit the declaration.", errors=errors)


def _told(outcome: Outcome, known: bool) -> Response:
    body = json.dumps({"outcome": outcome.value}, separators=(",", ":")).encode()
    return Response(_STATUS[outcome], body, (JSON_LINE, *((REPLAYED_LINE,) if known else ())))
