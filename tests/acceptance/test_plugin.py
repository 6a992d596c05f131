"""What pytest gets by itself: the fixtures of `avow.testing`, used as a user's own tests use them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest

pytest_plugins = ["pytester"]

SYSTEM = '''
from typing import Any

from avow import (
    Call, Entity, State, Subject, World, actor, always, authenticated, create, effect, field, minutes, read,
    role, system, transition,
)

clerk = role("clerk")


@effect(destination="payment")
async def pay(parcel: "Parcel", call: Call) -> None:
    """Take the money."""
    wanted = {"amount": parcel.cents, "currency": "EUR", "card": "4242", "reference": str(parcel.id)}
    answer = await call.http.post("/payments/authorize", json=wanted)
    assert answer.status == 201


class Parcel(Entity):
    """Something to be sent."""

    owner: Subject = field(default=actor)
    cents: int = field(ge=1)
    visible = read(by=(actor == owner) | clerk)

    waiting, paying = State(initial=True), State(invoke=pay)
    sent = State(final=True)
    lapsed, lost = State(final=True), State(final=True)

    post = create(waiting, by=authenticated, sets=[cents])
    send = transition(waiting, to=paying, by=clerk)
    lose = transition(waiting, to=lost, by=clerk)
    lapse = transition(waiting, to=lapsed, after=minutes(30))
    paid = transition(paying, to=sent, on=pay.done)
    unpaid = transition(paying, to=lost, on=pay.failed)


@always("Nobody loses what they have posted themselves.")
def of_others(world: World) -> bool:
    return not any(world.performers(one, Parcel.lose) & {one.owner} for one in world.all(Parcel))


app = system("post", Parcel, promises=[of_others])
'''

TESTS = """
import pytest

from avow.testing import Crashed, Refused


@pytest.fixture
def parcel(as_):
    return as_("ann").do("Parcel.post", cents=100)


def test_each_test_has_a_database_of_its_own(db, backend, parcel):
    assert backend.look(parcel).version == 1
    assert db.application_url == backend.url
    assert [work["name"] for work in backend.waiting()] == ["lapse"]


def test_who_asks_has_a_name_roles_and_a_tenant(as_, parcel):
    assert as_("ann").look(parcel).cents == 100
    assert as_("ben").refused("Parcel.send", parcel).code == "not-found"
    assert as_("dan", "clerk", tenant="north").refused("Parcel.send", parcel).code == "not-found"
    with pytest.raises(Refused, match="forbidden"):
        as_("ann").do("Parcel.send", parcel)
    with pytest.raises(AssertionError, match="Parcel.send was accepted"):
        as_("dan", "clerk").refused("Parcel.send", parcel)


def test_time_passes_when_it_is_told_to(backend, clock, parcel):
    clock.advance(minutes=29)
    assert backend.look(parcel).state == "waiting"
    clock.advance(minutes=1)
    assert backend.look(parcel).state == "lapsed"


def test_the_outside_misbehaves(backend, as_, provider, parcel):
    provider.lose_reply()
    as_("dan", "clerk").do("Parcel.send", parcel)
    backend.settle()
    assert backend.look(parcel).state == "sent"
    assert provider.ledger().count("payment", "authorize", str(parcel)) == 1


def test_the_outside_is_new_for_each_test(provider):
    assert provider.requests() == []


def test_a_process_ends_with_everything_written_and_nobody_told(as_, backend, crash, parcel):
    send = as_("dan", "clerk").request("Parcel.send", parcel)
    with crash.at("commit"):
        as_("dan", "clerk").send(send)
    assert backend.look(parcel).state == "paying"
    assert as_("dan", "clerk").send(send) == parcel
    assert backend.look(parcel).version == 2


def test_what_is_on_its_way_arrives_behind_the_next(as_, backend, crash, parcel):
    clerk = as_("dan", "clerk")
    send, lose = clerk.request("Parcel.send", parcel), clerk.request("Parcel.lose", parcel)
    with crash.at("commit", "sent-without-reply"):
        clerk.send(send)
    clerk.send(lose)
    assert backend.look(parcel).state == "lost"
    assert clerk.refused("Parcel.send", parcel).code == "state-conflict"


def test_a_worker_ends_and_another_one_goes_on(as_, backend, crash, provider, parcel):
    as_("dan", "clerk").do("Parcel.send", parcel)
    with crash.at("commit", "cut-before-send"):
        backend.work()
    assert backend.look(parcel).state == "paying"
    backend.settle()
    assert backend.look(parcel).state == "sent"
    assert provider.ledger().doubled() == []


def test_a_place_that_is_never_come_to_fails(as_, crash, parcel):
    with pytest.raises(AssertionError, match="never came to 'nowhere'; its statements were: load, commit"):
        with crash.at("nowhere"):
            as_("dan", "clerk").do("Parcel.send", parcel)


def test_a_process_ends_everywhere(as_, backend, crash, parcel):
    send, ends = as_("dan", "clerk").request("Parcel.send", parcel), []
    for end in crash.everywhere(send):
        as_("dan", "clerk").send(send)
        assert backend.look(parcel).version == 2
        ends.append((end.statement, end.mode))
    assert ("commit", "reply-lost") in ends
    assert len(ends) == 6


def test_two_at_once_in_every_order(as_, backend, race, parcel):
    clerk, orders = as_("dan", "clerk"), set()
    for order in race(clerk.request("Parcel.send", parcel), clerk.request("Parcel.lose", parcel)):
        assert sorted(order.answers) == ["done", "state-conflict"]
        assert backend.look(parcel).version == 2
        orders.add(order.steps)
    assert len(orders) >= 4
    (reach,) = race.reaches.values()
    assert str(reach) == f"{len(orders)} orders, exhausted"


def test_somebody_at_the_moment_at_which_it_lapses(as_, backend, clock, race, provider, parcel):
    ended = set()
    for order in race(as_("dan", "clerk").request("Parcel.send", parcel), clock.after(minutes=30)):
        ended.add(backend.look(parcel).state)
    assert ended == {"lapsed", "paying", "sent"}


@pytest.mark.anyio
async def test_a_coroutine_may_use_them_too(as_, backend, parcel):
    as_("dan", "clerk").do("Parcel.send", parcel)
    assert backend.look(parcel).state == "paying"
"""

BREAK = """
def test_it_breaks(as_, clock, race):
    ann = as_("ann", "clerk")
    parcel = ann.do("Parcel.post", cents=100)
    as_("ben", "clerk").refused("Parcel.lose", parcel, 7)
    clock.advance(minutes=1)
    for order in race(ann.request("Parcel.lose", parcel), ann.request("Parcel.send", parcel)):
        pass
"""

Inner: TypeAlias = Callable[..., pytest.RunResult]


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """Runs tests of an application in a folder of its own, on the server of this process."""
    monkeypatch.delitem(sys.modules, "system", raising=False)  # another test's application has this name too
    pytester.makepyfile(
        conftest="import pytest\n\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    )

    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(system=SYSTEM, test_post=tests)
        return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options)

    return run


def test_a_users_own_tests_pass(inner: Inner) -> None:
    inner(TESTS).assert_outcomes(passed=13)


def test_what_fails_tells_the_timeline_and_the_line_that_was_promised(inner: Inner) -> None:
    done = inner(BREAK)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([
        "*Broken: of_others (*system.py:38): Nobody loses what they have posted themselves.*",
        "*- timeline -*",
        "   1. ann (clerk): post Parcel 1   (new) -> waiting   cents 100, owner ann",
        "      ben (clerk): lose Parcel 1   refused: precondition-failed*",
        "      at 2026-03-02 09:01:00 UTC",
        "      at once:",
        "        A is ann (clerk): lose Parcel 1   done",
        "        B is ann (clerk): send Parcel 1   state-conflict",
        "        A lose: looks at the records",
        "        A lose: writes",
        "   2. ann (clerk): lose Parcel 1   waiting -> lost",
    ])  # fmt: skip


def test_pytest_waits_for_nothing_where_nobody_asks(pytester: pytest.Pytester) -> None:
    """The plugin is loaded with every run of pytest: it brings no part of Avow, and no driver."""
    pytester.makepyfile(
        "import sys\n\n\ndef test_nothing_is_there():\n"
        "    there = {name for name in sys.modules if name.startswith(('avow', 'asyncpg', 'uvicorn'))}\n"
        "    assert there == {'avow', 'avow.testing', 'avow.testing.plugin'}\n"
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)


@pytest.mark.parametrize("target", ["nowhere:app", "empty:backend"])
def test_an_application_that_isnt_where_the_configuration_says_is_told_so(
    target: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(empty="", test_one="def test_one(app):\n    pass\n")
    pytester.makeini(f"[pytest]\navow_app = {target}\n")
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines([f"*avow_app names {target}; set it to MODULE:NAME*"])
