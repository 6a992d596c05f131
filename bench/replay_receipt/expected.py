"""What must come of each case, computed from its dates and the order of its activities alone.

It knows no declaration: what may follow on what is written down here once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bench.replay_receipt.log import MEANS, Case
from bench.replay_receipt.outages import Outage

TWO_WEEKS = timedelta(days=14)

MAY_FOLLOW = {
    "check": ("drafted", "adjusted"),
    "adjust": ("checked", "determined"),
    "determine": ("checked",),
    "send": ("determined",),
    "consider": ("considered", "advised", "answered"),
    "advise": ("considered", "advised", "answered", "asked"),
    "ask": ("considered", "advised"),
    "hear": ("asked", "answered"),
    "decide": ("considered",),
}
THEN = {
    "draft": "drafted",
    "check": "checked",
    "adjust": "adjusted",
    "determine": "determined",
    "send": "sent",
    "consider": "considered",
    "advise": "advised",
    "ask": "asked",
    "hear": "answered",
    "decide": "decided",
}
BEGIN = ("draft", "consider")


@dataclass
class Expected:
    """What the log demands.

    ends:    the last state, by (case, record): `permit`, a kind of letter, or `stop`.
    comes:   when a deadline comes, by (case, transition), for those that come.
    due:     since when it is due, by the same. held_up: those that come at the end of an outage.
    refused: activities that the declaration doesn't permit, by (activity, code).
    """

    ends: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    comes: dict[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])
    due: dict[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])
    held_up: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])


def expect(cases: Sequence[Case], outages: Sequence[Outage]) -> Expected:
    """What must come of these cases, where no deadline can come during these outages."""
    found = Expected()
    for case in cases:
        _deadlines(found, case, outages)
        _activities(found, case)
    return found


def _deadlines(found: Expected, case: Case, outages: Sequence[Outage]) -> None:
    """Overdue, then escalated, unless the case is closed first."""
    since, state = case.received, "open"
    for name, then, due in (
        ("note_overdue", "overdue", case.deadline),
        ("escalate", "escalated", case.planned_end + TWO_WEEKS),
    ):
        moment = max(due, since)
        outage = next((outage for outage in outages if outage.begins <= moment < outage.ends), None)
        comes = moment if outage is None else outage.ends
        if case.closing is not None and comes > case.closing:
            break
        since, state = comes, then
        found.comes[case.name, name], found.due[case.name, name] = comes, due
        if comes in [outage.ends for outage in outages]:
            found.held_up.add((case.name, name))
    found.ends[case.name, "permit"] = state if case.closing is None else "closed"


def _activities(found: Expected, case: Case) -> None:
    states: dict[str, str] = {}
    for activity in case.activities:
        about, command = MEANS[activity.name].about, MEANS[activity.name].command
        code = _refusal(states.get(about), command)
        if code is None and case.closing is not None and activity.at > case.closing:
            code = "guard-failed"
        if code is not None:
            found.refused[activity.name, code] += 1
        elif (command, states.get(about)) != ("advise", "asked"):  # meanwhile, the others are still asked
            states[about] = THEN[command]
    found.ends.update({(case.name, about): state for about, state in states.items()})


def _refusal(state: str | None, command: str) -> str | None:
    """Why the order of things doesn't permit it, if it doesn't."""
    if state is None:
        return None if command in BEGIN else "never-begun"
    if command == "draft":
        return "unique-violated"
    return None if state in MAY_FOLLOW[command] else "state-conflict"
