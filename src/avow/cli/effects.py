"""`avow effects`: look at calls to the outside and times that are to come, and do what only a person can."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar
from uuid import uuid4

import click

from avow.api import json_text
from avow.api.app import problem_body
from avow.cli import output
from avow.cli.connection import ask_pool
from avow.cli.options import subject_option, target_option, together
from avow.cli.settings import private_keyring
from avow.cli.shown import moment
from avow.cli.target import load_target
from avow.cli.word import NUMBER, REASON, REMARK, SUBJECT, TENANT, Word
from avow.engine.execute import Engine, Reply
from avow.engine.workers.operating import (
    Intent,
    Operating,
    Preview,
    Settlement,
    shown,
)
from avow.engine.workers.owed import COMPENSATE, RETRY, SETTLE, SKIP
from avow.errors import ProblemError, UsageError
from avow.model.actor import DEFAULT_TENANT, Actor
from avow.model.system import System
from avow.model.trigger import EVENTS
from avow.model.types import Misfit
from avow.model.values import Subject
from avow.store.operate import LISTED_MAX, STATES, STUCK, Filter
from avow.store.pool import CONNECTIONS_MAX, Pool
from avow.store.queue import DELIVERIES

Answer = TypeVar("Answer")

_who: Final = together(
    subject_option("Who does it."),
    click.option("--reason", required=True, type=REASON, help="Why; it is kept."),
    target_option,
    output.json_option,
)
_which: Final = together(
    click.option("--tenant", metavar="NAME", type=TENANT, help="Only this tenant's."),
    click.option("--destination", metavar="NAME", type=SUBJECT, help="Only what goes there."),
    click.option("--entity", metavar="NAME", type=SUBJECT, help="Only of this entity."),
    click.option("--state", type=click.Choice(STATES), help="Only what is in this state."),
    click.option("--stuck", metavar="CODE", type=SUBJECT, help="Only what is stuck for this reason."),
)
_one_or_set: Final = together(
    click.argument("work", type=NUMBER, required=False),
    _which,
    click.option("--preview", is_flag=True, help="Show what fits the filter, and the name of that set."),
    click.option("--set", "named", metavar="SET", type=Word(64), help="Do it about the set of this name."),
    _who,
)


@click.group(name="effects")
def command() -> None:
    """Look at calls to the outside and at times to come, and settle what only a person can.

    Works on the database as its owner. Whatever is done is kept with who did it and why.
    """


@command.command(name="list")
@_which
@target_option
@output.json_option
def list_work(target: str, as_json: bool, **wanted: str | None) -> int:
    """List what is to be done, oldest first: what is waiting, under way, unclear, stuck or paused."""

    system = load_target(target)
    fitting = _filter(system, wanted)

    async def ask(operating: Operating) -> list[dict[str, Any]]:
        return [shown(item) for item in await operating.page(fitting, 0, LISTED_MAX)]

    items = _at_work(system, ask)
    if as_json:
        output.document({"items": items[:LISTED_MAX]})
        return output.HOLDS
    for item in items[:LISTED_MAX]:
        output.data(_line(item))
    if len(items) > LISTED_MAX:
        output.talk(f"there is more than these {LISTED_MAX}; narrow it down")
    if not items:
        output.talk("nothing is to be done")
    return output.HOLDS


@command.command(name="show")
@click.argument("work", type=NUMBER)
@target_option
@output.json_option
def show(work: int, target: str, as_json: bool) -> int:
    """Show one WORK: its key, how its attempts ended, and what operators did about it."""
    found = _at_work(load_target(target), lambda operating: operating.one(None, work))
    if as_json:
        output.document(found)
        return output.HOLDS
    attempts, interventions = found.pop("attempts"), found.pop("interventions")
    for name, value in found.items():
        output.data(output.plain(f"{name}: {value}"))
    for title, rows in (("attempts", attempts), ("interventions", interventions)):
        output.data(f"{title}: {len(rows)}")
        for row in rows:
            output.data(output.plain("  " + ", ".join(f"{name} {value}" for name, value in row.items())))
    return output.HOLDS


@command.command(name="retry")
@_one_or_set
def retry(**given: Any) -> int:
    """Let a worker try WORK once more, or everything stuck that fits a filter. Under the same key: what may
    have been carried out isn't done twice, and what can't be sent again without doing it twice isn't.
    """
    return _one_or_all(RETRY, **given)


@command.command(name="skip")
@_one_or_set
def skip(**given: Any) -> int:
    """Give WORK up, or everything stuck that fits a filter: a call is settled as failed, so that its record
    goes on; a time, a parked event or a delivery passes. Refused where nobody knows whether a call was done:
    that takes `settle`, with evidence.
    """
    return _one_or_all(SKIP, **given)


@command.command(name="compensate")
@_one_or_set
def compensate(**given: Any) -> int:
    """Undo now what a saga owes: WORK is tried at once if it is an undo; a step that certainly wasn't done is
    given up, and what was done before it is undone. Refused where nobody knows whether WORK was done.
    """
    return _one_or_all(COMPENSATE, **given)


@command.command(name="settle")
@click.argument("work", type=NUMBER)
@click.option("--done", metavar="JSON", help="It was done, with this result; null where it has none.")
@click.option("--failed", metavar="CODE", type=Word(100), help="It wasn't done, and won't be.")
@click.option(
    "--evidence",
    default="",
    type=REMARK,
    help="What shows it, such as the provider's reference; needed where the call is unclear.",
)
@_who
def settle(
    work: int, done: str | None, failed: str | None, evidence: str, subject: str, reason: str,
    target: str, as_json: bool,
) -> int:  # fmt: skip
    """Say how the call WORK ended. The outcome's transition follows at once, under your name."""
    if (done is None) is (failed is None):
        raise UsageError("it was either done or it failed", "Give --done JSON or --failed CODE.")
    ended = Settlement(failed is None, None if done is None else _json(done), failed or "", evidence)
    intent = _intent(SETTLE, subject, reason)
    return _acted(lambda operating: operating.act(intent, None, work, ended), target, as_json)


@command.command(name="pause")
@click.argument("destination", type=SUBJECT)
@_who
def pause(destination: str, subject: str, reason: str, target: str, as_json: bool) -> int:
    """Let no call to DESTINATION begin. What is under way is ended."""
    return _pause(destination, True, subject, reason, target, as_json)


@command.command(name="resume")
@click.argument("destination", type=SUBJECT)
@_who
def resume(destination: str, subject: str, reason: str, target: str, as_json: bool) -> int:
    """Let calls to DESTINATION begin again."""
    return _pause(destination, False, subject, reason, target, as_json)


def _pause(destination: str, paused: bool, subject: str, reason: str, target: str, as_json: bool) -> int:
    word, system = "paused" if paused else "resumed", load_target(target)
    _demand_destination(system, destination)
    intent = _intent(word, subject, reason)
    _at_work(system, lambda operating: operating.pause(intent, DEFAULT_TENANT, destination, paused=paused))
    return output.said({"destination": destination, "paused": paused}, f"{destination} is {word}", as_json)


def _one_or_all(
    action: str, *, work: int | None, preview: bool, named: str | None, subject: str, reason: str,
    target: str, as_json: bool, **wanted: str | None,
) -> int:  # fmt: skip
    """Do something about one work, or about a set that was previewed."""
    narrowed = any(wanted.values())
    if (work is None) is not narrowed:
        mend = "Such as `--destination psp --stuck unknown`."
        raise UsageError("name one WORK, or what it has to fit", mend)
    intent = _intent(action, subject, reason)
    if work is not None:
        if preview or named is not None:
            raise UsageError("one WORK is no set", "Leave --preview and --set out; `show WORK` looks at it.")
        return _acted(lambda operating: operating.act(intent, None, work), target, as_json)
    if preview is (named is not None):
        raise UsageError(
            "a set is previewed, or something is done about it", "Give --preview, and then --set SET."
        )
    system = load_target(target)
    asked = _filter(system, {**wanted, "state": wanted["state"] or STUCK})
    if named is None:
        return _previewed(_at_work(system, lambda o: o.preview(asked)), action, as_json)
    reply = _at_work(system, lambda o: o.act_on_all(intent, asked, str(named)))
    answer = json.loads(reply.body)
    left = "".join(f"; {one['work']} was left: {one['code']}" for one in answer["left"])
    return output.said(answer, f"{action}: {answer['done']} done{left}", as_json)


def _filter(system: System, wanted: Mapping[str, str | None]) -> Filter:
    """Which work is meant. Raises UsageError for an entity or a destination that nothing could ever fit."""
    entity, destination = wanted["entity"], wanted["destination"]
    if entity is not None and entity not in system.entities:
        known = ", ".join(system.entities)
        raise UsageError(f"{system.name} has no entity {entity[:60]}", f"There are: {known}.")
    if destination is not None and destination != EVENTS:
        _demand_destination(system, destination)
    return Filter(**wanted)  # type: ignore[arg-type]


def _demand_destination(system: System, destination: str) -> None:
    """Raises UsageError where neither a call nor a delivery goes there."""
    effects = [effect for entity in system.entities.values() for effect in entity.effects.values()]
    known = sorted({effect.destination for effect in effects})
    if destination not in known and not destination.startswith(DELIVERIES):
        mend = f"There are: {', '.join(known)}." if known else "There are only times and deliveries."
        raise UsageError(f"{system.name} has no destination {destination[:60]}", mend)


def _previewed(found: Preview, action: str, as_json: bool) -> int:
    items = [shown(item) for item in found.items]
    if as_json:
        output.document({"items": items, "more": found.more, "set": found.fingerprint})
        return output.HOLDS
    for item in items:
        output.data(_line(item))
    output.talk(f"{len(items)} fit{', and there is more' if found.more else ''}; "
                f"to {action} them, give --set {found.fingerprint}")  # fmt: skip
    return output.HOLDS


def _acted(ask: Callable[[Operating], Awaitable[Reply]], target: str, as_json: bool) -> int:
    """Do something about one work, and say what became of it."""
    try:
        answer = json.loads(_at_work(load_target(target), ask).body)
    except Misfit as misfit:
        raise UsageError(f"the result doesn't fit: {misfit}", "Give it as the effect declares.") from None
    state = "has passed" if answer["action"] == SKIP else "will be tried again"
    record = f"{answer['entity']} {answer['record']}"
    became = f"{answer['work']} {state}" if answer["state"] is None else f"{record} is {answer['state']}"
    return output.said(answer, became, as_json)


def _intent(action: str, subject: str, reason: str) -> Intent:
    # Of all tenants: whoever acts here does it as the owner. A key of its own: nobody repeats a command line.
    actor = Actor(Subject(subject), DEFAULT_TENANT)
    return Intent(action, actor, reason, str(uuid4()), everything=True)


def _at_work(system: System, ask: Callable[[Operating], Awaitable[Answer]]) -> Answer:
    async def run(pool: Pool) -> Answer:
        engine = Engine(system, pool, problem_body, keyring=private_keyring(system))
        return await ask(Operating(system, pool, engine))

    return ask_pool(system, run, CONNECTIONS_MAX)


def _json(text: str) -> Any:
    try:
        return json_text.loads(text.encode(errors="surrogateescape"))
    except ProblemError:
        raise UsageError("--done isn't JSON", """Such as --done '{"id": "ch_1"}', or null.""") from None


def _line(item: dict[str, Any]) -> str:
    why = f": {item['stuck']}, {item['detail']}; in the inbox of {item['inbox']}" if item["stuck"] else ""
    where = f"to {item['destination']}" if item["destination"] else f"at {moment(item['due'])}"
    return output.plain(
        f"{item['work']}  {item['entity']} {item['record']}  {item['name']} {where}, "
        f"{item['state']}{why}, attempt {item['attempt']}"
    )
