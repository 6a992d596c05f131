"""Conformance: the paths through the model, and every refusal on them, on the real engine and database.

Each act must be accepted that the kernel accepts, and each refused that it refuses, with the same code; what
is left behind is judged like any other execution. Another tenant's people meet nothing at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from avow.model.actor import Actor
from avow.prove.act import Act, Path, refs_of
from avow.prove.coverage import Coverage
from avow.prove.explore.path import end_of
from avow.prove.explore.situation import Happened, Refusal, happen, ref_of
from avow.prove.finding import ALL, Finding, PhaseReport, Tally, sampled
from avow.prove.oracle import DECLARED, Break
from avow.prove.phase import Bench, Budget
from avow.prove.rig import Rig, rig
from avow.prove.schedule import Schedule
from avow.prove.telling import line_told, told_as

FINDINGS_MAX: Final = 20
ELSEWHERE: Final = "elsewhere"
"""A tenant that has nothing to do with the others."""
ACCEPTED, REFUSED, FOREIGN = (
    "every path through the model", "every refused act", "an act from another tenant",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """An act after a path, and the code with which the kernel refuses it; empty: it accepts it."""

    fault: str
    path: Path
    act: Act
    code: str = ""


def expected_of(coverage: Coverage) -> Iterator[Expected]:
    """Everything that the model says of single acts, the shortest paths first."""
    paths = sorted({*coverage.transitions.values(), *coverage.states.values()}, key=len)
    ends = [path for path in paths if path]
    yield from (Expected(ACCEPTED, path[:-1], path[-1]) for path in ends)
    for place, refused in coverage.refused.items():
        for one in refused:
            path = one.path if one.path is not None else coverage.states.get(place, ())
            yield Expected(REFUSED, path, one.act, one.code)
    yield from _from_elsewhere(ends)


def _from_elsewhere(paths: list[Path]) -> Iterator[Expected]:
    """Each command on records that there are, by somebody of another tenant who knows their ids."""
    for path in paths:
        act = path[-1]
        if act.actor is not None and len(path) > 1 and {*refs_of(act)} & {one.ref for one in path[:-1]}:
            stranger = Actor(act.actor.subject, ELSEWHERE, act.actor.roles)
            yield Expected(FOREIGN, path[:-1], replace(act, actor=stranger), "not-found")


class Conform:
    """The phase."""

    name, share, quick = "conform", 2.0, True

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Every path, every refusal, every stranger, as far as the budget goes."""
        return await Conformance(await bench.shared(rig), budget).run(bench)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do one path again, whose last act ended otherwise than the kernel says."""
        on = await bench.shared(rig)
        if not schedule.acts:
            return None
        for code in _codes_of(on, schedule):
            expected = Expected(ACCEPTED, schedule.acts[:-1], schedule.acts[-1], code)
            found = await conforms(on, expected)
            if found:
                return finding_of(on, expected, found[0])
        return None


def _codes_of(on: Rig, schedule: Schedule) -> Iterator[str]:
    """What the kernel says of the last act."""
    actor = schedule.acts[-1].actor
    if actor is not None and actor.tenant == ELSEWHERE:
        yield "not-found"
        return
    situation = end_of(on.declared, schedule.acts[:-1])
    if situation is not None:
        happened = happen(on.declared, situation, schedule.acts[-1])
        if isinstance(happened, Refusal):
            yield happened.rejection.code
        elif isinstance(happened, Happened):
            yield ""


@dataclass(slots=True)
class Conformance:
    """One run of the phase."""

    on: Rig
    budget: Budget
    findings: list[Finding] = field(default_factory=list[Finding])

    async def run(self, bench: Bench) -> PhaseReport:
        """Go through everything that the model says."""
        tried = Counter[str]()
        broke = Counter[str]()
        everything = list(expected_of(bench.coverage))
        everything.sort(key=lambda one: not bench.touches((*one.path, one.act)))
        cut_short = set[str]()
        for place, expected in enumerate(everything):
            if self.budget.spent:
                cut_short |= {one.fault for one in everything[place:]}
                break
            found = await conforms(self.on, expected)
            tried[expected.fault] += 1
            self.budget.advance(left=len(everything) - place - 1)
            if found:
                broke[expected.fault] += 1
                self._report(expected, found[0])
        tallies = tuple(
            Tally(f, n, n - broke[f], broke[f], sampled("the time was over") if f in cut_short else ALL)
            for f, n in tried.items()
        )
        return PhaseReport(tallies, tuple(self.findings), _NOT_TRIED)

    def _report(self, expected: Expected, broke: Break) -> None:
        told = sum(finding.promise == broke.promise for finding in self.findings)
        if told < 3 and len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding_of(self.on, expected, broke))


async def conforms(on: Rig, expected: Expected) -> list[Break]:
    """Carry out one act after a path, and say what is otherwise than it should be."""
    await on.start(expected.path)
    refused = [done for done in on.execution.journal if done.told is not None and not done.told.accepted]
    if refused and expected.fault != FOREIGN:
        where = f"{refused[0].act.entity}.{refused[0].act.command}"
        code = refused[0].told.code if refused[0].told else ""
        return [Break(DECLARED, f"{where} is refused with {code}; the kernel accepts it.", _SAME)]
    told = await on.perform(expected.act)
    found = await _strays(on, expected) if told.accepted and not expected.code else []
    found += (await on.judged(drained=expected.fault == ACCEPTED))[0]
    where = f"{expected.act.entity}.{expected.act.command}"
    if told.accepted and expected.code:
        found.insert(
            0, Break(DECLARED, f"{where} is accepted; the kernel refuses it: {expected.code}.", _SAME)
        )
    elif not told.accepted and not _same_code(expected, told.code):
        said = f"refuses it: {expected.code}" if expected.code else "accepts it"
        found.insert(0, Break(DECLARED, f"{where} is refused with {told.code}; the kernel {said}.", _SAME))
    return found


async def _strays(on: Rig, expected: Expected) -> list[Break]:
    """Records that aren't in the state that the model has them in."""
    situation = end_of(on.declared, (*expected.path, expected.act))
    if situation is None:
        return []
    picture = await on.database.picture()
    states = {UUID(record): live.state for (_, _, record), live in picture.rows.items()}
    wanted = {ref_of(key): record.state for key, record in situation.records.items()}
    found = {ref: states.get(on.execution.id_of(ref), "nowhere") for ref in wanted}
    return [
        Break(DECLARED, f"{ref} is {state}; the kernel has it {wanted[ref]}.", _SAME)
        for ref, state in found.items()
        if ref in on.execution.ids and state != wanted[ref]
    ]


_SAME = "The engine that serves and the kernel that was explored must decide alike."


def _same_code(expected: Expected, code: str) -> bool:
    """Whether two codes say the same. What is never asked for, as an outcome out of turn, has none."""
    if expected.act.kind != "command":
        return bool(expected.code)
    if expected.fault == FOREIGN:
        return code in ("not-found", "input-invalid")  # the latter: what it refers to isn't found
    return code == expected.code or {code, expected.code} <= _TOGETHER


_TOGETHER: Final = {"unique-violated", "exclusion-violated", "invariant-violated"}
"""Codes of rules that the database holds: of several that would be broken, any may be told first."""


def finding_of(on: Rig, expected: Expected, broke: Break) -> Finding:
    """What broke, as a story."""
    lines = [line_told(on.declared, done.act, done.told) for done in on.execution.journal]
    schedule = Schedule((*expected.path, expected.act))
    return told_as("conform", on.declared, schedule, broke, lines)


_NOT_TRIED = ("Acts outside of the values, people and number of records that the model was explored with.",)
