"""What the tests of the onboarding share: a stage, the identity provider as a process, the account of all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2

from avow.engine.outside import Destination
from avow.engine.workers.clients import Clients
from avow.testing import Found, Person, Provider, Stage, stage

from .system import app

READY = {"laptop": "laptop_ready", "desk": "desk_ready", "plan": "plan_ready"}
JOBS = {"laptop": ("hand_out", "it"), "desk": ("furnish", "facilities"), "plan": ("plan", "manager")}
OVER = ("started", "cancelled")
OPEN_PAPERS = ("wanted", "overdue", "handed_in")


@dataclass
class Office:
    """Everybody who is to come, and what was asked for them."""

    s: Stage
    outside: Provider
    cases: list[UUID] = field(default_factory=list[UUID])
    papers: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])
    jobs: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])

    @property
    def hr(self) -> Person:
        return self.s.as_("hal", "hr")

    async def announce(self, person: str = "ann", days: int = 30, login: str = "") -> UUID:
        """Somebody is to come in so many days; three are asked to prepare for it."""
        case = await self.hr.do(
            "Onboarding.announce", person=person, name=person.title(), login=login or person, boss="bea",
            first_day=self.s.now + timedelta(days=days),
        )  # fmt: skip
        self.cases.append(case)
        for job in JOBS:
            due = self.s.now + timedelta(days=days - 5)
            made = await self.hr.do(f"Job.ask_{job}", onboarding=case, what=f"the {job}", due=due)
            self.jobs[made] = case
        return case

    async def paper(self, case: UUID, days: int = 10) -> UUID:
        """A paper is wanted within so many days."""
        due = self.s.now + timedelta(days=days)
        paper = await self.hr.do("Paper.want", onboarding=case, kind="contract", due=due)
        self.papers[paper] = case
        return paper

    async def job(self, case: UUID, name: str) -> Any:
        return (await self.s.look(case)).values[name]

    async def do(self, case: UUID, name: str) -> None:
        """One of us has prepared it."""
        word, role = JOBS[name]
        await self.s.as_("bea" if role == "manager" else role, role).do(
            f"Job.{word}", await self.job(case, name)
        )

    async def complete(self, case: UUID) -> None:
        """All papers are there: the account is to be made."""
        await self.hr.do("Onboarding.complete", case)

    async def ready(self, person: str = "ann", days: int = 30) -> UUID:
        """Everything is prepared for somebody."""
        case = await self.announce(person, days)
        for name in JOBS:
            await self.do(case, name)
        await self.complete(case)
        await self.settle()
        assert await self.state(case) == "ready"
        return case

    async def cancel(self, case: UUID, by: Person | None = None) -> None:
        await (by or self.hr).do("Onboarding.cancel", case)

    async def bring_back(self, case: UUID) -> None:
        """Everybody takes back what they had handed out."""
        for name, word, role in (("laptop", "take_back", "it"), ("desk", "clear", "facilities")):
            job = await self.job(case, name)
            if job is not None and (await self.s.look(job)).state == f"{name}_owed":
                await self.s.as_(role, role).do(f"Job.{word}", job)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing moves any more."""
        await self.s.work()
        await self.s.try_again()

    async def state(self, record: UUID) -> str:
        return (await self.s.look(record)).state

    async def ask(self, what: Any, *given: Any, **options: Any) -> Any:
        """Tell the outside how to behave, without holding up the office."""
        return await asyncio.to_thread(what, *given, **options)

    async def end(self) -> None:
        """Call off whoever hasn't started; the account of what is left a day later."""
        for case in self.cases:
            if await self.state(case) not in OVER:
                await self.cancel(case)
                await self.settle()
                await self.bring_back(case)
        await self.s.advance(days=1)
        await self.check()

    async def check(self, stuck: int = 0, under_way: int = 0) -> None:
        """The account: each has started with all they need, or nothing is left of it, or it is stuck."""
        waits = {work["id"] for work in await self.s.waiting() if work["stuck"]}
        assert len(waits) == stuck, await self.s.waiting()
        owed = [task for task in await self.s.as_("ida", "it", "operator").tasks() if task["owed"]]
        assert {task["record"] for task in owed} == set(map(str, waits))
        assert (await self.ask(self.outside.ledger)).doubled() == []
        cases = [await self.s.look(case) for case in self.cases]
        over = [case for case in cases if case.state in OVER]
        assert len(cases) - len(over) == stuck + under_way, [case.state for case in cases]
        for case in over:
            accounts = await self.ask(_accounts, self.outside, case.id)
            await self._compare(case, [one["id"] for one in accounts if one["status"] == "active"])

    async def _compare(self, case: Found, accounts: list[str]) -> None:
        jobs = [await self.s.look(job) for job, of in self.jobs.items() if of == case.id]
        papers = [await self.s.look(paper) for paper, of in self.papers.items() if of == case.id]
        assert not [paper for paper in papers if paper.state in OPEN_PAPERS]
        if case.state == "started":
            assert accounts == [case.account]
            assert {job.state for job in jobs} == set(READY.values())
        else:
            assert (accounts, case.account) == ([], None), "an account is left that nobody needs"
            assert {job.state for job in jobs} <= {"dropped", "undone"}


def _accounts(provider: Provider, case: UUID) -> list[Any]:
    return httpx2.get(f"{provider.url}/accounts", params={"reference": str(case)}).json()["items"]


@asynccontextmanager
async def office(outside: Provider) -> AsyncGenerator[Office]:
    """An office that nobody is to come to."""
    await asyncio.to_thread(outside.reset)
    clients = Clients({"accounts": Destination("accounts", outside.url, allow_private=True)})
    try:
        async with stage(app, http=clients.open) as s:
            yield Office(s, outside)
    finally:
        await clients.aclose()
