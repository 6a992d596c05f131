"""Calls: what owners' functions have sent in a run, held against what they say of it, and each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Final

from avow.model.effect import FAILED
from avow.model.system import System
from avow.model.trigger import OnOutcome
from avow.prove.oracle import EFFECTS, Break
from avow.prove.seam import Hold, Made
from avow.store.trials.picture import Picture


def judge_functions(calls: Mapping[str, Made]) -> Iterator[Break]:
    """What functions did is done once, and is what they say of it."""
    for made in calls.values():
        name, place = made.effect.name, made.effect.place
        keys = dict[tuple[str, str, str], list[str]]()
        for one in made.sent:
            if one.carried:
                keys.setdefault((one.method, one.path, one.digest), []).append(one.key)
        if repeated := max(keys.values(), key=len, default=list[str]())[1:]:
            often, under = len(repeated) + 1, len({one.key for one in made.sent if one.carried})
            said = f"{name} did the same {often} times for one call, under {under} keys."
            yield Break(EFFECTS, said, "Every attempt of a call has to send `call.key`.", place)
        elif any(one.key not in keys.get((one.method, one.path, one.digest), [one.key]) for one in made.sent):
            said = f"{name} asks for the same again under another key, though it was carried out."
            yield Break(EFFECTS, said, "Every attempt of a call has to send `call.key`.", place)
        carried = any(one.carried for one in made.sent)
        if made.ended == "declined" and carried and not any(one.answered for one in made.sent):
            said = f"{name} was carried out, and its function said that it certainly wasn't."
            yield Break(EFFECTS, said, "Declined is a definite no of the other side.", place)
        if made.ended == "done" and made.sent and not any(o.carried or o.answered for o in made.sent):
            said = f"{name} says that it was done, and nothing of it has arrived."
            yield Break(EFFECTS, said, "What isn't an answer is no result.", place)


OUT_OF_BOUNDS: Final = frozenset({"above_authorized", "above_captured", "key_reused"})
"""The codes with which a provider refuses more than it has of somebody, and what isn't what came first under
its key.
"""
NOT_FOUND: Final = "not_found"
ABOUT_ANOTHER: Final = frozenset({NOT_FOUND, "wrong_status"})
"""The codes with which it refuses what is about another thing than the one that is meant."""


INVALID: Final = "invalid"
"""The code with which it refuses what nobody could be given, such as an amount of 0."""


MISSING: Final = "None"
"""What stands in an address in the place of something that is missing."""


def judge_demands(system: System, calls: Mapping[str, Made]) -> Iterator[Break]:
    """Where nothing goes wrong, no function asks for more than the other side has of what was done before, or
    for something else than that, unless it is declared what a definite no leads to.
    """
    for made in calls.values():
        owed = made.ended != "done" and made.effect.name not in refusable(system)
        for one in (one for one in made.sent if one.refused[0]):
            code, said = one.refused
            nobody = code == NOT_FOUND and MISSING in one.path.split("/")
            nothing = code == INVALID and one.of_nothing
            if code in OUT_OF_BOUNDS or (owed and code in ABOUT_ANOTHER) or nobody or nothing:
                name = made.effect.name
                told = f"{name} asks for what the provider refuses, with nothing going wrong: {said}"
                why = "What it asks for isn't what an earlier call has told the provider of this record."
                yield Break(EFFECTS, told, why, made.effect.place)


def judge_keys(calls: Iterable[Made]) -> Iterator[Break]:
    """No call is answered with what was done for another record."""
    for made in calls:
        if any(one.first not in (None, made.work.id) for one in made.sent):
            said = f"{made.effect.name} is answered with what was done for another record under the same key."
            yield Break(
                EFFECTS, said, "The key of a call is `call.key`: it is no other one's.", made.effect.place
            )


def judge_undone(calls: Mapping[str, Made]) -> Iterator[Break]:
    """What undoes a call that was carried out asks somebody, and for what that call has made."""
    for made in calls.values():
        undone = None if made.undoes is None else calls.get(made.undoes)
        if undone is None or made.ended != "done" or not any(one.carried for one in undone.sent):
            continue
        name, of = made.effect.name, undone.effect.name
        if not made.sent and not made.looked:
            said = f"{name} says that it has undone {of}, and has asked nobody for it."
            yield Break(EFFECTS, said, "What was carried out is undone where it was done.", made.effect.place)
        mine = {one.told for one in undone.sent if one.told}
        known = {one.told for other in calls.values() for one in other.sent if one.told}
        named = known & {part for one in made.sent for part in one.path.split("/")}
        if mine and named and not named & mine:
            said = f"{name} is to undo {of}, and undoes what another call has made."
            yield Break(EFFECTS, said, f"It doesn't name what {of} was told.", made.effect.place)


def judge_noes(system: System, calls: Iterable[Made], as_usual: Set[str]) -> Iterator[Break]:
    """A definite no isn't taken for a yes, where it is declared what it leads to, or the call is owed.

    as_usual: what is carried out where nothing is refused, if all has gone now as it does then.
    """
    for made in calls:
        name = made.effect.name
        refused = any(one.refused[0] for one in made.sent) and not any(one.carried for one in made.sent)
        if made.ended == "done" and refused and name in as_usual and is_minded(system, name):
            said = f"{name} was refused, and all goes on as if it had been done."
            yield Break(EFFECTS, said, "A definite no is told by raising Declined.", made.effect.place)


def is_minded(system: System, effect: str) -> bool:
    """Whether it matters that a call is refused: that leads somewhere else, or the call is owed."""
    return effect in refusable(system) or effect in system.derived(_owed)


def refusable(system: System) -> frozenset[str]:
    """The effects of which it is declared what a definite no leads to."""
    return system.derived(_refusable)


def _refusable(system: System) -> frozenset[str]:
    transitions = (t for entity in system.entities.values() for t in entity.transitions.values())
    triggers = (t.trigger for t in transitions if isinstance(t.trigger, OnOutcome))
    return frozenset(trigger.effect for trigger in triggers if trigger.outcome == FAILED)


def _owed(system: System) -> frozenset[str]:
    states = (state for entity in system.entities.values() for state in entity.states.values())
    return frozenset(effect for state in states if state.owed for effect in state.invoke)


def judge_holds(
    system: System, holds: Iterable[Hold], calls: Iterable[Made], picture: Picture
) -> Iterator[Break]:
    """Of a record that has ended no money is held any more: it was taken, or let go; and no pieces are set
    aside where one of its calls was refused, and nothing was paid or sent.
    """
    refused = {str(made.work.id) for made in calls if made.ended == "declined"}
    for hold in holds:
        for (_, kind, record), live in picture.rows.items():
            entity = system.entities.get(kind)
            ended = entity is not None and entity.states[live.state].final
            if record == hold.reference and ended and (hold.of == "money" or record in refused):
                told = (
                    f"One {kind} is {live.state}, and {_HELD[hold.of].format(hold.amount)} that "
                    f"{hold.effect.name} has asked for: nothing has taken them or let them go."
                )
                yield Break(EFFECTS, told, "Whatever holds something has to be undone.", hold.effect.place)


_HELD: Final = {
    "money": "the provider still holds the {}",
    "pieces": "still set aside are the {} pieces",
}
