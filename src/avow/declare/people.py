"""The words for what people do: `task(...)`, a command that stands in somebody's inbox."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from avow.declare.expression import Policy, several
from avow.declare.place import here
from avow.model.place import Place
from avow.model.trigger import Delay

CLAIM: Final = timedelta(hours=8)
"""How long a claim lasts unless it is said: a working day."""


class TaskWord:
    """What `task()` remembers."""

    def __init__(self, place: Place, role: Any, **rest: Any) -> None:
        self.place, self.role = place, role
        self.due: Any = rest["due"]
        self.remind: tuple[Any, ...] = several(rest["remind"])
        self.escalate: Any = rest["escalate"]
        self.claim: Any = rest["claim"]
        self.shows: tuple[Any, ...] = several(rest["shows"])


def task(
    role: Policy,
    *,
    due: Delay | timedelta | Any = None,
    remind: Delay | timedelta | Iterable[Delay | timedelta] = (),
    escalate: Policy | None = None,
    claim: timedelta = CLAIM,
    shows: Any = (),
) -> TaskWord:
    """Let a command stand in the inbox of a role, for as long as the record is in a state that it leaves; or
    a call, with `@effect(task=task(...))`, for as long as it is stuck.

    role:     whose inbox: `role("dean")`; who may give the command is said by `by=`, as ever.
    due:      a length of time since the state was entered, or an instant: a field, or one with a length of
              time added or taken away.
    remind:   a length of time since the state was entered, or several: each is recorded once.
    escalate: the role into whose inbox it goes when it is due and not done.
    claim:    how long who has claimed it, or was delegated it, has it alone.
    shows:    the fields that stand beside it in the inbox, for those who may see them; no others do. Of a
              call their names do, as it is declared before them: `shows=["amount"]`.
    """
    rest = {"due": due, "remind": remind, "escalate": escalate, "claim": claim, "shows": shows}
    return TaskWord(here(), role, **rest)
