"""Faults between a process that lives on and its server: it comes to the same, and defects show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avow.engine.execute import Reply, Request
from avow.prove.act import Act
from avow.prove.crash import WIRE_KINDS, crash, look_at
from avow.prove.databases import Databases, Way
from avow.prove.defect import NONE, Defect
from avow.prove.node import Node
from avow.prove.rig import DISTURBANCES, SERVER_CRASHED, SESSION_ENDED, Rig
from avow.prove.schedule import Fault
from avow.prove.selftest import BOUGHT, CHARGED, HALL, HOLD, rig_with
from avow.prove.wire import Strike, WireFault, proxied
from avow.store.driver import Lost
from avow.store.trials import trial

pytestmark = pytest.mark.anyio


def test_every_fault_of_the_wire_is_tried() -> None:
    assert {*WIRE_KINDS, SESSION_ENDED, SERVER_CRASHED} == set(DISTURBANCES)


@pytest.mark.parametrize("act", [HOLD, CHARGED])
async def test_whatever_fails_between_a_process_and_its_server_comes_to_the_same(
    own: Databases, act: Act
) -> None:
    """A command and a worker's call, at the statement that writes; also through a crash of the server."""
    on = replace(await rig_with(own, NONE), crash_server=own.crash)
    subject = await look_at(on, HALL if act is HOLD else BOUGHT, act)
    assert subject is not None
    last = len(subject.named) - 1
    assert subject.named[last] == "commit"
    for kind in DISTURBANCES:
        before = on.executions
        assert await crash(on, subject, (Fault(kind, len(subject.path), last),)) == [], kind
        assert on.executions == before + 1


def without_keys(node: Node) -> None:
    """Let the engine of a process take every request for one that can't be known again."""
    execute = node.engine.execute

    async def keyless(request: Request) -> Reply:
        return await execute(replace(request, key=None))

    setattr(node.engine, "execute", keyless)  # noqa: B010 - a seam that isn't declared


async def test_an_answer_lost_on_the_wire_shows_what_is_done_without_a_key(own: Databases) -> None:
    """Whoever asks again can't be known again: it is done twice, or refused although it was done."""
    on = await rig_with(own, Defect("keyless", enter=without_keys))
    subject = await look_at(on, HALL, HOLD)
    assert subject is not None
    broken = await crash(on, subject, (Fault("wire-reply-lost", len(HALL), len(subject.named) - 1),))
    assert "P3 replayable" in {broke.promise for broke in broken}


async def test_what_is_struck_leaves_nothing_and_what_is_cut_afterwards_was_done(on: Rig) -> None:
    """The wire itself: a session that ends before its transaction does takes its statement with it."""

    async def end(process: int) -> None:
        await trial.end_process(on.database.admin, process)

    faults: tuple[tuple[WireFault, Strike | None, int], ...] = (
        ("struck", end, 0), ("cut-on-the-way", None, 0),
        ("cut-within", None, 1), ("wire-reply-lost", None, 1),
    )  # fmt: skip
    for fault, strike, left in faults:
        async with proxied(on.database.url) as (wire, url):
            node = on.node(way=Way(url))
            await on.start(HALL)
            done = await on.execution.ready(HOLD)
            request = replace(done.request, key=None) if done.request else None
            wire.fail(fault, of="commit", strike=strike)
            assert request is not None
            with pytest.raises(Lost):
                await node.engine.execute(request)
            await node.close()
            assert wire.failed == 1
        picture = await on.database.picture()
        assert sum(kind == "Ticket" for _, kind, _ in picture.rows) == left, fault
