"""One request on its way to an answer: what is committed and answered, for each decision on it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from avow import canonical
from avow.engine.entries import entries_of
from avow.engine.identifier import new_id
from avow.engine.plan import ExecutionPlan
from avow.engine.privacy import OF_TENANT, Concealing, Given, concealing_of
from avow.engine.request import RenderProblem, Reply, Request, json_bytes
from avow.errors import Problem, ProblemError, reject
from avow.evidence.entry import HEADER_BYTES_MAX, Entry, HeaderTooLong
from avow.kernel.command import Command, Decision, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.kernel.draft import Pool
from avow.kernel.policy import may
from avow.kernel.view import represent, seen_by
from avow.model.draft import BodyFault
from avow.model.system import System
from avow.model.tuples import made
from avow.model.types import Reference
from avow.store.driver import Id
from avow.store.loading import KnownAnswer, Loaded, Wanted
from avow.store.transaction import Answer, IdempotencyKey, Write

REVEALED = "revealed"
"""The member of an answer that tells private values in clear; of one that is kept, by their digests."""
REVEALED_OPENING = b'"revealed":'
NOTHING_PRIVATE: Mapping[str, Given] = {}

SCOPES_MAX = 4_096
"""For how many callers and commands the beginning of their keys' names is remembered."""
UNANSWERED = Answer(0, b"", "")
RECEIPT = ("id", "version", "state")
"""What whoever gave a command is always told."""


class Answered(Exception):
    """Ends an attempt with a reply that needs no commit."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Attempt:
    """One request on its way to an answer, possibly decided more than once."""

    def __init__(
        self, system: System, plan: ExecutionPlan, request: Request, render: RenderProblem,
        given: Mapping[str, Given] = NOTHING_PRIVATE,
    ) -> None:  # fmt: skip
        self.system, self.plan, self.request, self.render = system, plan, request, render
        self.given = given
        self.concealing: list[Concealing] = []
        self.key = None if request.dry_run else _kept_under(request)
        self.record_id = request.record or new_id()
        asked = (
            request.entity, request.command, self.record_id, request.input, request.actor, new_id(),
            request.expected_version, request.internal or request.settles is not None,
        )  # fmt: skip
        self.command = made(Command, asked)
        self.tenant = request.actor.tenant
        self.answer = UNANSWERED
        self.loaded: Loaded | None = None
        self.decision: Decision | None = None
        self.successor: Record | None = None  # the command's record, as the write leaves it
        self.met_rivals = False

    @property
    def wanted(self) -> Wanted:
        """What is to be loaded for it."""
        key_id = None if self.key is None else self.key.id
        return self.plan.load.wanted(key_id, self.request.record, self.request.input)

    def decide(self, loaded: Loaded) -> Write:
        """Decide on what was loaded, and make everything that is to be committed.

        Raises Answered where there is nothing to commit: a replay, or a refusal that isn't kept.
        """
        self.loaded, self.concealing = loaded, []  # what was decided before is decided no more
        if loaded.answer is not None:
            raise Answered(self.replay(loaded, loaded.answer))
        decided = decide(self.system, loaded.records, self.command, loaded.now)
        if isinstance(decided, Rejection):
            return self.refuse(decided)
        return self._write(loaded, decided)

    def decide_recalled(self, recalled: Loaded) -> Write | None:
        """Decide on what is remembered; None unless that permits it, whatever the time is.

        avow.commit will have the record at the version that is remembered, and the key unanswered, or
        write nothing. A refusal would have no such witness: it is never made here.
        """
        try:
            decided = decide(self.system, recalled.records, self.command, recalled.now)
            if isinstance(decided, Rejection) or decided.timed:
                return None
            write = self._write(recalled, decided)
        except (BodyFault, ProblemError):
            return None
        self.loaded = recalled
        return write

    def _write(self, loaded: Loaded, decided: Decision) -> Write:
        self.decision = decided
        if self.plan.conceals or self.given:
            actor = self.request.actor
            self.concealing = concealing_of(self.system, decided, self.given, actor, loaded.now)
        result = decided.result
        self.answer = self._accept(loaded, decided, result)
        try:
            entries = entries_of(self.system, self.command, decided, loaded.now, self.request.request_id)
        except HeaderTooLong:
            detail = f"changes more than one audit entry holds: {HEADER_BYTES_MAX} bytes"
            errors = [{"pointer": "#", "code": "too-large", "detail": detail}]
            raise reject("input-invalid", "The command changes too much at once.", errors=errors) from None
        self.successor = _linked(decided, result, entries)
        reads: Mapping[Key, int | None] = decided.reads
        written = frozenset(decided.final)
        if self.plan.counts:
            anchors = self._anchors(decided)
            reads, written = {**anchors, **reads}, written | anchors.keys()
        headers: list[bytes] = []
        payloads: dict[bytes, bytes] = {}
        for header, long in entries:
            headers.append(header)
            payloads |= long
        request = self.request
        return Write(
            self.answer, reads, written, headers, list(payloads.values()), None, request.settles,
            request.intervention,
        )  # fmt: skip

    def _anchors(self, decision: Decision) -> dict[Key, int | None]:
        """The records that quotas are counted at; they are locked in order with all others."""
        found: dict[Key, int | None] = {}
        for record in decision.final.values():
            entity = self.system.entities[record.entity]
            for quota in entity.quotas:
                anchor, kind = record.values.get(quota.anchor), entity.fields[quota.anchor].type
                if anchor is not None and record.state in quota.states and isinstance(kind, Reference):
                    found[kind.entity, anchor] = None
        return found

    def _accept(self, loaded: Loaded, decision: Decision, result: Record) -> Answer:
        records = {**loaded.records, **decision.final}
        shown = seen_by(self.system, result, self.request.actor, loaded.now, records)
        told = represent(self.system, result, ()) if shown is None else shown
        if reveals := self.plan.reveals:
            wanted = represent(self.system, result, reveals)
            told[REVEALED] = {name: wanted[name] for name in reveals}
        body = json_bytes(told)
        status = 201 if self.request.record is None else 200
        return Answer(status, body, result.entity, result.id, result.version)

    def refuse(self, rejection: Rejection) -> Write:
        """What a refusal commits: its answer, and that it was refused. Raises Answered if it isn't kept."""
        problem = Problem(rejection.code, rejection.detail, rejection.extra)
        self.successor = None
        # Without a key nothing keeps the answer: what is to be done stays, and says why. So it does where an
        # operator's word is refused.
        unkept = self.request.settles is not None and (
            self.key is None or self.request.intervention is not None
        )
        if not rejection.recorded or self.request.dry_run or unkept:
            raise Answered(Reply(problem.status, problem=problem))
        body = self.render(problem, self.command.command_id)
        self.answer = Answer(problem.status, body, self.request.entity, self.request.record)
        refusal = refusal_of(self.request, rejection.code, rejection.extra)
        return Write(answer=self.answer, refusal=refusal, settles=self.request.settles)

    @property
    def persons(self) -> list[str]:
        """Whose keys are needed for what was decided last."""
        found = [one.subject for one in self.concealing]
        return [*found, OF_TENANT] if any(one.searchable for one in self.concealing) else found

    def turns(self) -> list[Hashable]:
        """What the command takes turns for, in order: its record, or else its key; and what it wrote last.

        A dry run waits for nobody's turn, and nobody for its own. Who met a ring of waits, as exclusions
        make among many new records, goes on as the only one of its entity that did.
        """
        if self.request.dry_run:
            return []
        names: list[Hashable] = []
        if self.decision is not None:
            names += sorted(key for key, write in self.locks().items() if write)
        elif self.request.record is not None:
            names.append((self.request.entity, self.request.record))
        elif self.key is not None:
            names.append(("", self.key.id))
        return [*names, self.request.entity] if self.met_rivals else names

    def locks(self) -> dict[Key, bool]:
        """What the last decision rested on, and what of it it wrote."""
        if self.loaded is None:
            return {} if self.request.record is None else {(self.request.entity, self.request.record): True}
        found = dict.fromkeys(self.loaded.records, False)
        if self.decision is not None:
            if self.plan.counts:
                found.update(dict.fromkeys(self._anchors(self.decision), True))
            found.update({key: True for key in self.decision.final if key in found})
        return found

    @property
    def hears(self) -> bool:
        """Whether a call has ended, which is true whatever the time is, and no operator says so."""
        return self.plan.hears and self.request.settles is not None and self.request.intervention is None

    def begins_work(self) -> bool:
        """Whether calls are to be made from now on, or others may have to be told."""
        if self.decision is None:
            return False
        steps = self.decision.steps
        if any(self.system.entities[step.after.entity].publications for step in steps):
            return True
        return any(wait is not None and wait.destination for step in steps for wait in step.waits.values())

    def reply(self) -> Reply:
        """The reply to what was just decided."""
        answer = self.answer
        return Reply(answer.status, answer.body, answer.record, answer.version)

    def replay(self, loaded: Loaded, known: KnownAnswer) -> Reply:
        """The answer that the key already has. Raises `idempotency-key-reused` for another request."""
        if known.fingerprint != self.request.fingerprint:
            raise reject("idempotency-key-reused")
        body = known.body if known.status >= 400 else self._still_shown(loaded, known)
        return Reply(known.status, body, known.record, known.version, replayed=True)

    def _still_shown(self, loaded: Loaded, known: KnownAnswer) -> bytes:
        """A kept representation, without the fields that the caller may not see any more."""
        record = None if known.record is None else loaded.records.get((known.kind, known.record))
        if record is None:
            return known.body
        shown = seen_by(self.system, record, self.request.actor, loaded.now, loaded.records)
        kept: dict[str, Any] = json.loads(known.body)
        still = {*RECEIPT, *(shown or ()), *([REVEALED] if self._still_reveals(loaded, record) else [])}
        left = {name: held for name, held in kept.items() if name in still}
        return known.body if len(left) == len(kept) else json_bytes(left)

    def _still_reveals(self, loaded: Loaded, record: Record) -> bool:
        """Whether the caller may still be told in clear what the command revealed."""
        if not self.plan.reveals:
            return False
        pool = Pool(self.system, self.request.actor, loaded.now, dict(loaded.records), {})
        return any(
            may(pool, record, t) for t in pool.plans[record.entity].commands[self.request.command].candidates
        )


def refusal_of(request: Request, code: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What is remembered of a refusal: nothing of the request's data."""
    return {
        "subject": str(request.actor.subject),
        "kind": request.entity,
        "record": None if request.record is None else str(request.record),
        "command": request.command,
        "code": code,
        "rule": str(extra.get("rule", "")),
        "request": request.request_id,
    }


def _kept_under(request: Request) -> IdempotencyKey | None:
    if request.kept_under is not None:
        return IdempotencyKey(Id(request.kept_under.bytes), request.fingerprint)
    return None if request.key is None else key_of(request)


def _linked(decided: Decision, result: Record, entries: Sequence[Entry]) -> Record:
    """The command's own record, with the hash of the last of the entries that is about it."""
    head = result.head
    for step, entry in zip(decided.steps, entries, strict=True):
        if step.after is result:
            head = entry.hash
    return result.with_head(head)


def key_of(request: Request) -> IdempotencyKey:
    """A key belongs to one tenant, one subject and one operation: nobody meets another's."""
    actor = request.actor
    scope = _scope(actor.tenant, actor.subject, request.entity, request.command)
    named = canonical.digest(f"{scope}{canonical.written(request.key)}]".encode())
    return IdempotencyKey(Id(named[:16]), request.fingerprint)


@lru_cache(SCOPES_MAX)
def _scope(tenant: str, subject: str, entity: str, command: str) -> str:
    """Whose keys these are, as a list that the key ends, in canonical JSON."""
    return "".join(["[", *(f"{canonical.quoted(one)}," for one in (tenant, subject, entity, command))])
