"""What the tests of the verification share: a stage, two providers, each a process, the account of all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2

from avow.engine.outside import Destination
from avow.engine.workers.clients import Clients
from avow.testing import Found, Provider, Stage, stage
from examples.webhooks import door

from .system import Finding, Verdict, app

ENDED = ("verified", "expiring", "rejected", "withdrawn", "renewed", "expired", "closed")
ON_PURPOSE = {"identity.correct": 9}
"""A provider may take back its word as often as it likes."""
OTHER_KIND = "age"
"""A check that somebody else has ordered of the same person."""
ROUNDS_MAX = 20


@dataclass
class Desk:
    """Everybody who has applied, and the two who are asked."""

    s: Stage
    idscan: Provider
    bureau: Provider
    cases: list[UUID] = field(default_factory=list[UUID])

    async def apply(self, person: str = "ann", passport: str = "P1") -> UUID:
        """Somebody shows who they are; nobody is asked yet."""
        case = await self.s.as_(person).do("Verification.apply", passport=passport)
        self.cases.append(case)
        return case

    async def renew(self, case: UUID, person: str = "ann") -> UUID:
        """They show it again."""
        again = await self.s.as_(person).do("Verification.renew", renews=case, passport="P2")
        self.cases.append(again)
        return again

    async def staff(self, who: str, command: str, case: UUID, role: str = "analyst", **given: Any) -> None:
        """Somebody of ours does something."""
        await self.s.as_(who, role).do(f"Verification.{command}", case, **given)

    async def judge(self, case: UUID, verdict: Verdict, first: str = "eve", then: str = "flo") -> None:
        """Two people judge."""
        await self.staff(first, "assess", case, verdict=verdict, grounds="seen")
        await self.staff(then, "confirm", case)

    async def settle(self) -> None:
        """Until nothing moves any more: no call, no webhook, nothing that follows."""
        for _ in range(ROUNDS_MAX):
            moved = await self.s.work() + await self.s.try_again()
            await asyncio.gather(*(self.ask(provider.wait_quiet) for provider in (self.idscan, self.bureau)))
            if not moved + await self.s.work():
                return
        raise AssertionError("the providers and the desk never come to rest")

    async def state(self, case: UUID) -> str:
        return (await self.s.look(case)).state

    async def ask(self, what: Any, *given: Any, **options: Any) -> Any:
        """Tell a provider how to behave, without holding up the desk."""
        return await asyncio.to_thread(what, *given, **options)

    async def wait_for_words(self) -> None:
        """Let the providers answer only when they are told."""
        for provider in (self.idscan, self.bureau):
            await self.ask(provider.give_results, "identity", "told")

    async def webhooks(self, provider: Provider, *script: Any) -> None:
        """What goes wrong with the next results that a provider tells of."""
        await self.ask(provider.behave, "webhooks", "check.completed", script=script)

    async def say(self, provider: Provider, case: UUID, result: str = "passed") -> None:
        """A provider comes to a result, or to another one."""
        await self.ask(provider.settle, "identity", str(case), result)
        await self.settle()

    async def check(self, people: int = 0, stuck: int = 0, unheard: Provider | None = None) -> None:
        """The account: each case has ended, waits for people, or is stuck; and both providers agree with us.

        unheard: the provider whose words never came.
        """
        waits = {work["id"] for work in await self.s.waiting() if work["stuck"]}
        assert len(waits) == stuck, await self.s.waiting()
        cases = [await self.s.look(case) for case in self.cases]
        tasks = await self.s.as_("eve", "analyst", "officer", "operator").tasks()
        asked = {task["record"] for task in tasks if task["owed"] is None}
        assert len(asked) == people
        assert {task["record"] for task in tasks if task["owed"]} == set(map(str, waits))
        for case in cases:
            assert case.state in ENDED or str(case.id) in asked or case.id in waits, case.state
        for provider, name in ((self.idscan, "scan"), (self.bureau, "screening")):
            assert (await self.ask(provider.ledger)).doubled(ON_PURPOSE) == []
            for case in cases:
                if case.id not in waits:
                    told = await self.ask(_checks, provider, case.id)
                    _compare(case, name, told, heard=provider is not unheard)


def _checks(provider: Provider, case: UUID) -> list[Any]:
    return httpx2.get(f"{provider.url}/checks", params={"reference": str(case)}).json()["items"]


def _compare(case: Found, name: str, checks: list[Any], heard: bool) -> None:
    """What one provider has made of a case, and what the case knows of it."""
    values = case.values
    if case.state == "withdrawn" or case.problem:
        assert all(check["status"] != "pending" for check in checks), "an order is left that nobody needs"
        return
    (check,) = [check for check in checks if check["kind"] != OTHER_KIND]
    ours = (values[f"{name}_id"], values[name], values[f"{name}_risk"], values[f"{name}_revision"])
    if heard and check["revision"]:
        assert ours == (check["id"], Finding(check["result"]), check["risk"], check["revision"])
    else:
        assert ours == (check["id"], None, 0, 0)


@asynccontextmanager
async def desk(idscan: Provider, bureau: Provider) -> AsyncGenerator[Desk]:
    """A desk at which nobody has applied."""
    await asyncio.gather(asyncio.to_thread(idscan.reset), asyncio.to_thread(bureau.reset))
    where = {"idscan": idscan, "bureau": bureau}
    clients = Clients({
        name: Destination(name, provider.url, allow_private=True) for name, provider in where.items()
    })  # fmt: skip
    try:
        async with stage(app, http=clients.open) as s, door(s, **where):
            yield Desk(s, idscan, bureau)
    finally:
        await clients.aclose()
