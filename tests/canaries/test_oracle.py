"""The oracle of executions: each promise that it looks at is broken once by hand, and it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from avow.prove.execution import Told
from avow.prove.outside import Carried
from avow.prove.rig import Rig
from avow.prove.selftest import BOUGHT, CHARGED, FOUND, HELD, LAPSE, TOLD_OF

pytestmark = pytest.mark.anyio

EDITS = {
    "a row was edited": ("UPDATE reference.halls SET sold = 0", "P10 explainable"),
    "an entry was edited": ("UPDATE avow.audit SET hash = sha256('x')", "P10 explainable"),
    "an entry is gone": ("DELETE FROM avow.audit WHERE kind = 'Ticket' AND version = 3", "P10 explainable"),
    "a row is gone": ("DELETE FROM reference.tickets", "P10 explainable"),
    "an answer is kept no longer": ("DELETE FROM avow.idempotency", "P3 replayable"),
    "what is to be done is gone": ("DELETE FROM avow.work", "P1 atomic"),
    "something more is to be done": (
        (
            "INSERT INTO avow.work"
            " (tenant, kind, id, name, version, destination, line, key, due, ready_at, request, since)"
            " SELECT tenant, 'Ticket', id, 'lapse', 1, '', '', id, now(), now(), '', now()"
            " FROM reference.tickets"
        ),
        "P1 atomic",
    ),
    "what is stuck asks nobody": (
        "UPDATE avow.work SET stuck = 'unknown'; DELETE FROM avow.task WHERE work IS NOT NULL",
        "P8 compensated",
    ),
    "a task asks for what isn't stuck": (
        (
            "INSERT INTO avow.task"
            " (task, tenant, kind, id, step, role, remind, claim_ms, asked_by, since, work)"
            " SELECT id, tenant, 'Ticket', id, 'lapse/0', '', '{}', 1, 'avow', now(), 0"
            " FROM reference.tickets"
        ),
        "P8 compensated",
    ),
    "an invariant is broken": (
        (
            "ALTER TABLE reference.halls DROP CONSTRAINT halls__never_oversold;"
            "UPDATE reference.halls SET sold = 9"
        ),
        "Hall.never_oversold",
    ),
}


async def test_what_was_edited_by_hand_is_found(on: Rig) -> None:
    missed = list[str]()
    for edit, (statement, promise) in EDITS.items():
        await on.start((*BOUGHT, CHARGED))
        assert (await on.judged(drained=False))[0] == []
        await on.database.admin.execute(statement)
        found, _ = await on.judged(drained=False)
        if promise not in {broke.promise for broke in found}:
            missed.append(edit)
    assert missed == []


def forget_call(on: Rig) -> None:
    on.exchange.outside.carried.clear()


def call_again(on: Rig) -> None:
    one = next(iter(on.exchange.outside.carried.values()))
    on.exchange.outside.carried["another"] = replace(one, key="another")


def undo_again(on: Rig) -> None:
    undone = next(one for one in on.exchange.outside.carried.values() if one.undoes)
    on.exchange.outside.carried["another"] = replace(undone, key="another")


def undo_nothing(on: Rig) -> None:
    carried = on.exchange.outside.carried
    carried.update({key: replace(one, undoes=None) for key, one in carried.items()})


def refuse_accepted(on: Rig) -> None:
    on.execution.journal[0].told = Told(False, "forbidden")


def answer_otherwise(on: Rig) -> None:
    done = next(done for done in reversed(on.execution.journal) if done.request)
    assert done.told is not None
    done.told = replace(done.told, body=b"{}")


TALES: dict[str, tuple[Callable[[Rig], None], str]] = {
    "done and never carried out": (forget_call, "P7 effects"),
    "carried out twice": (call_again, "P7 effects"),
    "undone twice": (undo_again, "P8 compensated"),
    "undone without saying what": (undo_nothing, "P8 compensated"),
    "refused, and in the log": (refuse_accepted, "P3 replayable"),
    "answered otherwise when asked again": (answer_otherwise, "P3 replayable"),
}


async def test_what_the_outside_and_callers_saw_is_held_against_the_log(on: Rig) -> None:
    missed = list[str]()
    for tale, (alter, promise) in TALES.items():
        await on.start((*TOLD_OF, replace(FOUND, record=2)))
        assert (await on.judged(drained=False))[0] == []
        alter(on)
        found, _ = await on.judged(drained=False)
        if promise not in {broke.promise for broke in found}:
            missed.append(tale)
    assert missed == []


async def test_a_call_that_was_carried_out_does_not_count_as_failed(on: Rig) -> None:
    await on.start((*BOUGHT, CHARGED))
    picture = await on.database.picture()
    key = next(work.key for work in picture.work if work.name == "seat")
    await on.perform(TOLD_OF[-2])
    assert (await on.judged(drained=False))[0] == []
    ticket = on.execution.id_of(LAPSE.ref)
    on.exchange.outside.carried[key] = Carried(key, "seat", ticket, "seat", None, None)
    found, _ = await on.judged(drained=False)
    assert "counts as failed, and was carried out" in " ".join(broke.sentence for broke in found)


async def test_everything_that_is_left_is_done_and_judged_too(on: Rig) -> None:
    await on.start(HELD)
    found, _ = await on.judged()
    assert found == []
    await on.start(BOUGHT)
    await on.judged()
    picture = await on.database.picture()
    assert {live.state for (_, kind, _), live in picture.rows.items() if kind == "Ticket"} == {"paid"}
