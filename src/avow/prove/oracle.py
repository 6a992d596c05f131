"""The oracle: what an execution has left behind, held against everything that was promised.

Nothing here asks the engine. Rows are held against their log, the log against the pure kernel, answers
against both, and what is still to be done against what the records wait for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from avow.engine.workers.doing import ENGINE
from avow.evidence.boundaries import read_boundaries, shape_of
from avow.evidence.chain import RecordCheck
from avow.kernel.command import Key, Record
from avow.kernel.draft import Pool, RecordScope
from avow.kernel.plan import plans_of
from avow.model.effect import DONE, FAILED, UNKNOWN
from avow.model.place import Place
from avow.model.system import System
from avow.model.trigger import EVENTS, OnOutcome, OnTime
from avow.prove.execution import Done
from avow.prove.outside import Outside
from avow.prove.private import revived
from avow.prove.promises import broken
from avow.prove.replay import Replayed, circle, commands_of, replay
from avow.prove.world import NOBODY
from avow.store.canonical_columns import json_fields
from avow.store.queue import DELIVERIES
from avow.store.trials.picture import Picture


class Break(NamedTuple):
    """A promise that an execution has broken.

    promise: its name. sentence: what is no longer true. why: what explains it. place: the line it is about.
    """

    promise: str
    sentence: str
    why: str
    place: Place = Place()


REPLAYABLE = "P3 replayable"
DECLARED = "P2 declared only"
ATOMIC = "P1 atomic"
IN_ORDER = "P5 invariants"
EFFECTS = "P7 effects"
COMPENSATED = "P8 compensated"
ON_TIME = "P9 on time"
EXPLAINABLE = "P10 explainable"


def judge(
    system: System, picture: Picture, journal: Sequence[Done], outside: Outside | None, now: datetime
) -> list[Break]:
    """Everything that is broken. outside: what calls have met; None where nobody knows."""
    replayed = replay(system, picture)
    return [
        *_chains(system, picture),
        *_decisions(replayed, picture),
        *_rules(system, picture, replayed, now),
        *_answers(picture, journal),
        *_waits(system, picture),
        *_times(system, picture),
        *([] if outside is None else _calls(system, picture, outside)),
    ]


def _chains(system: System, picture: Picture) -> Iterator[Break]:
    """Every chain agrees with itself, and every row with what its chain rebuilds."""
    boundaries = read_boundaries([(system.fingerprint, system.description)])
    shapes = {e.name: shape_of(e, json_fields(e), boundaries) for e in system.entities.values()}
    checks = dict[tuple[str, str, str], RecordCheck]()
    for logged in sorted(picture.entries, key=lambda one: (one.tenant, one.kind, one.id, one.version)):
        where = logged.tenant, logged.kind, logged.id
        if where not in checks:
            checks[where] = RecordCheck(boundaries, shapes.get(logged.kind), *where)
        checks[where].follow(logged)
    for where, check in checks.items():
        check.conclude(picture.rows.get(where))
        for finding in check.findings:
            yield Break(EXPLAINABLE, f"{finding.kind}: {finding.code}", finding.detail)
    for tenant, kind, record in picture.rows.keys() - checks.keys():
        yield Break(EXPLAINABLE, f"{kind}: history-missing", f"{record} of {tenant} has a row and no history")


def _decisions(replayed: Replayed, picture: Picture) -> Iterator[Break]:
    """What was written is what the kernel makes of it, in some order of one after the other."""
    for where, said, place in replayed.differs:
        yield Break(DECLARED, f"{where} is in the log, and {said}.", "The kernel was asked again.", place)
    if ring := circle(picture):
        said = " and ".join(dict.fromkeys(ring))
        why = "Each rests on what the other has changed: there is no order in which both were right."
        yield Break(IN_ORDER, f"{said} happened as if neither had seen the other.", why)


def _rules(system: System, picture: Picture, replayed: Replayed, now: datetime) -> Iterator[Break]:
    """Invariants, uniqueness, exclusions, quotas and promises hold of the live rows."""
    for tenant in dict.fromkeys(tenant for tenant, _, _ in picture.rows):
        records = live_records(system, picture, tenant)
        for one in broken(system, records, replayed.performers, now):
            why = f"It says: {one.rule}." if one.rule else "It isn't true of all records together."
            yield Break(one.promise, one.sentence or one.promise, why, one.place)


def live_records(system: System, picture: Picture, tenant: str) -> dict[Key, Record]:
    """The live rows of a tenant as records, in the order in which they were created."""
    order = {(e.kind, e.id): place for place, e in reversed([*enumerate(picture.entries)])}
    found = dict[Key, Record]()
    mine = [(kind, record) for of, kind, record in picture.rows if of == tenant]
    for kind, record in sorted(mine, key=lambda one: order.get(one, 0)):
        live, entity = picture.rows[tenant, kind, record], system.entities[kind]
        values = {
            name: None if held is None else revived(entity.fields[name].type, held)
            for name, held in live.values.items()
        }
        performers = {
            name: tuple(who) for name, who in zip(entity.tracked, live.performers, strict=True) if who
        }
        key = kind, UUID(record)
        found[key] = Record(kind, key[1], live.state, live.version, values, performers, live.head)
    return found


def _answers(picture: Picture, journal: Sequence[Done]) -> Iterator[Break]:
    """Each accepted command has exactly one entry of its own, a refused one none; answers are kept alike."""
    own = Counter(
        (entries[0].header["request"], entries[0].header["actor"]["subject"])
        for entries in commands_of(picture)
    )
    refused = Counter(picture.refusals)
    kept = Counter((one.kind, one.record, one.version) for one in picture.answers if one.status < 400)
    for done in journal:
        if done.request is None:
            continue
        request, told = done.request, done.told
        where = f"{done.act.entity}.{done.act.command}"
        count = own[request.request_id, str(request.actor.subject)]
        wanted = None if told is None else int(told.accepted)
        if count > 1 or (wanted is not None and count != wanted):
            was = "was asked for once" if told is None else "was accepted" if told.accepted else "was refused"
            yield Break(REPLAYABLE, f"{where} {was}, and stands in the log {count} times.", _KEPT)
        if told is not None and told.accepted and told.record is not None:
            answers = kept[done.act.entity, str(told.record), told.version]
            if answers != 1:
                yield Break(REPLAYABLE, f"{where} was accepted, and {answers} answers are kept of it.", _KEPT)
        recorded = sum(
            count for (request_id, _), count in refused.items() if request_id == request.request_id
        )
        if recorded > 1 or (recorded and told is not None and told.accepted):
            yield Break(REPLAYABLE, f"{where} was refused {recorded} times in one request.", _KEPT)


_KEPT = "A command, its entry and its answer are written together, under its key."


def _waits(system: System, picture: Picture) -> Iterator[Break]:
    """Whatever a record waits for is to be done, and nothing else is."""
    plans = system.derived(plans_of)
    there = {(w.tenant, w.kind, w.id, w.name) for w in picture.work}
    passed = {(a.tenant, a.kind, a.id, a.name) for a in picture.attempts if a.outcome == "passed"}
    entries = [entry for command in commands_of(picture) for entry in command]
    came = {(e.logged.tenant, e.logged.kind, e.logged.id, str(e.header["transition"])) for e in entries}
    asked = {(t.tenant, t.kind, t.id, t.step) for t in picture.tasks if t.work is None}
    wanted, open_tasks = set[tuple[str, str, str, str]](), set[tuple[str, str, str, str]]()
    once = set[tuple[str, str, str, str]]()  # instants that have come: again only where their value is new
    for tenant in dict.fromkeys(tenant for tenant, _, _ in picture.rows):
        records = live_records(system, picture, tenant)
        pool = Pool(system, NOBODY, _ANY_TIME, dict(records), {})
        for key, record in records.items():
            state = plans[record.entity].states[record.state]
            where = tenant, record.entity, str(record.id)
            wanted |= {(*where, name) for name in state.effects}
            for alarm in state.alarms:
                mine = (*where, alarm.name)
                comes = alarm.at is None or alarm.at(RecordScope(pool, pool.records[key])) is not None
                if comes and alarm.at is not None and mine in came:
                    once.add(mine)
                elif comes and mine not in passed:
                    wanted.add(mine)
            open_tasks |= {(*where, task.step) for task in state.tasks}
    others = {
        (w.tenant, w.kind, w.id, w.name) for w in picture.work
        if w.destination == EVENTS or w.destination.startswith(DELIVERIES)
    }  # fmt: skip
    for _, kind, _, name in sorted(wanted - there):
        yield Break(ATOMIC, f"One {kind} waits for {name}, and nothing is left that would do it.", _TOGETHER)
    for _, kind, _, name in sorted(there - wanted - others - passed - once):
        yield Break(ATOMIC, f"{name} is still to be done for one {kind} that waits no more.", _TOGETHER)
    for _, kind, _, step in sorted(open_tasks ^ asked):
        yield Break(ATOMIC, f"The task {kind}.{step} and the state of its record disagree.", _TOGETHER)
    yield from _owed(picture)


def _owed(picture: Picture) -> Iterator[Break]:
    """Whatever is stuck is one task, in a named inbox; and no other task asks for what isn't."""
    stuck = {(w.tenant, w.kind, w.work): w.name for w in picture.work if w.stuck is not None}
    asked = {(t.tenant, t.kind, t.work): t.step for t in picture.tasks if t.work is not None}
    for where in sorted(stuck.keys() - asked.keys()):
        said = f"{stuck[where]} of one {where[1]} is stuck, and a task in nobody's inbox."
        yield Break(COMPENSATED, said, _ASKED_FOR)
    for where in sorted(asked.keys() - stuck.keys()):
        yield Break(COMPENSATED, f"The task {where[1]}.{asked[where]} asks for what isn't stuck.", _ASKED_FOR)


_ASKED_FOR = "A task is written with what gets stuck, and ends with it."


_ANY_TIME = datetime.max.replace(tzinfo=UTC)
_TOGETHER = (
    "What a state waits for is written with the entry that enters it, and ends with the one that leaves."
)


def _times(system: System, picture: Picture) -> Iterator[Break]:
    """No time comes before it is due."""
    due = dict[tuple[str, str], datetime]()
    for entry in (one for entries in commands_of(picture) for one in entries):
        record, name = entry.logged.id, entry.header["transition"]
        timed = isinstance(system.entities[entry.logged.kind].transitions[name].trigger, OnTime)
        if timed and datetime.fromisoformat(entry.header["at"]) < due.get((record, name), _LONG_AGO):
            yield Break(ON_TIME, f"{entry.logged.kind}.{name} came before it was due.", "Times are instants.")
        for waits, wait in entry.header.get("waits", {}).items():
            if wait is not None:
                due[record, waits] = datetime.fromisoformat(wait["due"])


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _calls(system: System, picture: Picture, outside: Outside) -> Iterator[Break]:
    """Nothing is carried out twice, everything that is undone was done, and what we hold to be done was."""
    begun, heard = Counter[tuple[str, str]](), list[tuple[str, str]]()
    for entries in commands_of(picture):
        for entry in entries:
            for name, wait in entry.header.get("waits", {}).items():
                if wait is not None and wait["to"]:
                    begun[entry.logged.id, name] += 1
            heard += _heard(entry.header)
    again = Counter((w.id, w.name) for w in picture.work for _ in range(w.generation))
    carried = Counter((str(one.record), one.effect) for one in outside.carried.values())
    for (record, effect), count in carried.items():
        if count > begun[record, effect] + again[record, effect]:
            often = begun[record, effect]
            yield Break(
                EFFECTS, f"{effect} was asked for {often} times and carried out {count} times.", _KEYED
            )
    for transition, key in heard:
        if key not in outside.carried:
            yield Break(
                EFFECTS, f"{transition} says that a call was done that was never carried out.", _KEYED
            )
    yield from _failures(system, picture, outside)
    yield from _undone(system, outside)


def _failures(system: System, picture: Picture, outside: Outside) -> Iterator[Break]:
    """Nothing counts as failed that was carried out: the call that was asked for last."""
    asked = dict[tuple[str, str], str]()
    for logged, header in (one for entries in commands_of(picture) for one in entries):
        trigger = system.entities[logged.kind].transitions[header["transition"]].trigger
        effect = trigger.effect if isinstance(trigger, OnOutcome) and trigger.outcome == FAILED else ""
        if effect and asked.get((logged.id, effect)) in outside.carried:
            said = f"{logged.kind}.{effect} counts as failed, and was carried out."
            yield Break(EFFECTS, said, "An answer that never came says nothing about what was done.")
        for name, wait in header.get("waits", {}).items():
            if wait is not None:
                said = "/".join((logged.tenant, logged.kind, logged.id, name, str(logged.version)))
                asked[logged.id, name] = str(UUID(sha256(said.encode()).hexdigest()[:32]))


def _undone(system: System, outside: Outside) -> Iterator[Break]:
    """What undoes a call names it, and undoes it once."""
    undoing = {
        (effect, state.name) for entity in system.entities.values() for state in entity.states.values()
        if state.undoes is not None for effect in state.invoke
    }  # fmt: skip
    for one in outside.carried.values():
        if (one.effect, one.state) in undoing and one.undoes not in outside.carried:
            yield Break(COMPENSATED, f"{one.effect} undoes something that was never done.", _KEYED)
    for count in Counter(one.undoes for one in outside.carried.values() if one.undoes).values():
        if count > 1:
            yield Break(COMPENSATED, f"What was done once was undone {count} times.", _KEYED)


def hanging(picture: Picture, system: System) -> Iterator[Break]:
    """Once all was done that could be: a call that is neither done nor undone waits for a person."""
    for work in picture.work:
        calls = system.entities[work.kind].effects
        if work.name in calls and work.stuck is None:
            said = f"{work.kind} waits for {work.name} for ever."
            yield Break(COMPENSATED, said, "All that could be tried was tried, and nobody is told.")


def forgotten(system: System, picture: Picture, outside: Outside) -> Iterator[Break]:
    """Once all was done that could be: what was carried out is known to its record, undone or asked for."""
    heard = heard_of(picture)
    undone = {one.undoes for one in outside.carried.values()}
    asked_for = {work.key for work in picture.work}
    doubted = set(_doubted(system, picture))
    for one in outside.carried.values():
        if one.undoes is not None or one.key in heard | undone | asked_for:
            continue
        if (str(one.record), one.effect) in doubted:
            continue
        mine = str(one.record)
        kind, state = next((k, live.state) for (_, k, r), live in picture.rows.items() if r == mine)
        entity = system.entities[kind]
        done = OnOutcome(one.effect, DONE)
        as_if_done = {t.target for t in entity.transitions.values() if t.trigger == done}
        if entity.states[state].final and state not in as_if_done:
            said = f"{one.effect} was carried out, and its {kind} is {state} as if it hadn't been."
            yield Break(EFFECTS, said, _FORGOTTEN, entity.effects[one.effect].place)


def _doubted(system: System, picture: Picture) -> Iterator[tuple[str, str]]:
    """The records and calls of which it is written down that nobody knows, and not that they failed."""
    for logged, header in (one for entries in commands_of(picture) for one in entries):
        entity = system.entities[logged.kind]
        transition = entity.transitions[header["transition"]]
        trigger = transition.trigger
        if isinstance(trigger, OnOutcome) and trigger.outcome == UNKNOWN:
            failed = OnOutcome(trigger.effect, FAILED)
            if transition.target not in {
                t.target for t in entity.transitions.values() if t.trigger == failed
            }:
                yield logged.id, trigger.effect


_FORGOTTEN = (
    "An outcome that nobody knows is no failure: it is looked up, or waits for a person, before all else."
)


def heard_of(picture: Picture) -> frozenset[str]:
    """The keys of all calls that some entry says were done."""
    entries = (entry for command in commands_of(picture) for entry in command)
    return frozenset(key for entry in entries for _, key in _heard(entry.header))


_KEYED = "All attempts of a call go under one key, and what undoes it names that key."


def _heard(header: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The call that an entry says was done: the transition that heard of it, and its key."""
    given = header["input"]
    if header["actor"]["subject"] == str(ENGINE) and "key" in given and header["cause"] is None:
        yield header["transition"], given["key"]
