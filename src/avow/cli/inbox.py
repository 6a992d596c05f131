"""`avow inbox`: what somebody is asked to do, and doing it.

Whoever reaches the database from a terminal acts as the person that they name; every act says that it came
from here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import click

from avow.api import json_text
from avow.api.app import problem_body
from avow.api.ingress import InputReader
from avow.cli import output
from avow.cli.connection import ask_pool
from avow.cli.options import person_options
from avow.cli.settings import private_keyring
from avow.cli.shown import moment, shown
from avow.cli.target import load_target
from avow.cli.word import REMARK, SUBJECT, instant_of, parse_id
from avow.engine.execute import Engine, Reply, Request
from avow.engine.identifier import new_id_text
from avow.engine.inbox import Filter, Inbox, Intent
from avow.engine.workers.owed import SETTLE
from avow.errors import ProblemError, UsageError, reject
from avow.kernel.tasks import CLAIM, DELEGATE, FOLLOW_UP, RELEASE
from avow.model.actor import Actor
from avow.model.system import System, asks
from avow.model.values import Subject
from avow.store.pool import Pool

CREDENTIAL: Final = "avow inbox"
"""What the audit log says of whoever acts from a terminal."""
LIMIT_MAX: Final = 200

Answer = TypeVar("Answer")

_person: Final = person_options("Whose inbox it is.")
_reason: Final = click.option("--reason", default="", type=REMARK, help="Why; kept with what was done.")
_task: Final = click.argument("task")


@dataclass(frozen=True, slots=True)
class Desk:
    """The inbox of one person, and the engine that their commands go to."""

    system: System
    actor: Actor
    inbox: Inbox
    engine: Engine


@click.group(name="inbox")
def command() -> None:
    """Show what somebody is asked to do, and do it: as the person that --as names, with their roles."""


@command.command(name="list")
@click.option("--mine", is_flag=True, help="Only what they hold.")
@click.option("--overdue", is_flag=True, help="Only what is overdue.")
@click.option("--entity", metavar="NAME", help="Only what is about records of this entity.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, LIMIT_MAX), help="At most so many."
)
@_person
def list_tasks(
    mine: bool, overdue: bool, entity: str | None, limit: int, subject: str, roles: tuple[str, ...],
    tenant: str, target: str, as_json: bool,
) -> int:  # fmt: skip
    """List the tasks, the one due first coming first."""

    async def ask(desk: Desk) -> list[dict[str, Any]]:
        kind = None
        if entity is not None:
            kind = next((e for e in desk.inbox.entities if entity in (e.name, e.plural)), None)
            if kind is None:
                known = ", ".join(e.name for e in desk.inbox.entities)
                raise UsageError(f"nobody is asked about {entity[:60]}", f"There are tasks about: {known}.")
        page = await desk.inbox.page(desk.actor, Filter(None, kind, mine, overdue), None, limit)
        return page.items

    items = _at_desk(target, tenant, subject, roles, ask)
    if as_json:
        output.document({"items": items})
        return output.HOLDS
    for item in items:
        output.data(output.plain(_line(item)))
    if not items:
        output.talk("there is nothing to do")
    return output.HOLDS


@command.command(name="claim")
@_task
@_reason
@_person
def claim(task: str, reason: str, **who: Any) -> int:
    """Claim TASK: nobody else can do it until it is released, or the claim ends."""
    return _act(CLAIM, task, reason, **who)


@command.command(name="release")
@_task
@_reason
@_person
def release(task: str, reason: str, **who: Any) -> int:
    """Release TASK: it belongs to everybody in the role again."""
    return _act(RELEASE, task, reason, **who)


@command.command(name="delegate")
@_task
@click.argument("to", type=SUBJECT)
@_reason
@_person
def delegate(task: str, to: str, reason: str, **who: Any) -> int:
    """Let TO do TASK; whoever delegates counts as having done it, too."""
    return _act(DELEGATE, task, reason, to=to, **who)


@command.command(name="follow-up")
@_task
@click.argument("at")
@_reason
@_person
def follow_up(task: str, at: str, reason: str, **who: Any) -> int:
    """Say that TASK is to be looked at again AT a time, such as 2026-11-21T09:30:00Z."""
    return _act(FOLLOW_UP, task, reason, at=at, **who)


@command.command(name="complete")
@_task
@click.option("--input", "text", default="{}", show_default=True, help="The command's arguments, as JSON.")
@_person
def complete(
    task: str, text: str, subject: str, roles: tuple[str, ...], tenant: str, target: str, as_json: bool
) -> int:
    """Do TASK: give its command to its record."""
    body = _body(text)

    async def ask(desk: Desk) -> Reply:
        item = await desk.inbox.task(desk.actor, _id(task))
        if item is None:
            raise reject("not-found", "There is no such task for this person.")
        entity, word = desk.system.entities[item["entity"]], item["command"]
        if word is None:
            raise UsageError(f"{item['task']} is stuck, which no command mends", f"{_typed(item['owed'])}")
        values = InputReader(entity.of_command(word)[0]).read(body)
        request = Request(
            entity.name, word, UUID(item["record"]), values, desk.actor, str(uuid4()), b"", new_id_text()
        )
        return await desk.engine.execute(request)

    reply = _at_desk(target, tenant, subject, roles, ask)
    return _told(reply, as_json)


def _act(
    word: str, task: str, reason: str, *, subject: str, roles: tuple[str, ...], tenant: str, target: str,
    as_json: bool, to: str | None = None, at: str | None = None,
) -> int:  # fmt: skip
    when = instant_of(at, "AT")

    async def ask(desk: Desk) -> Reply:
        intent = Intent(word, _id(task), desk.actor, str(uuid4()), b"", new_id_text(), reason, to, when)
        return await desk.inbox.act(intent)

    return _told(_at_desk(target, tenant, subject, roles, ask), as_json)


def _told(reply: Reply, as_json: bool) -> int:
    """Print what became of it. A refusal ends with 1, as everywhere."""
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    document: Any = json_text.loads(reply.body)
    if reply.status >= 400:
        code = str(document["type"]).rpartition("/")[2]
        raise reject(code, str(document.get("detail", "")))
    if as_json:
        output.document(document)
    elif "task" in document:
        held = (
            f", held by {document['holder']} until {moment(document['held_until'])}"
            if document["holder"]
            else ""
        )
        output.data(output.plain(f"{document['task']} {document['id']}{held}"))
    else:
        output.data(
            output.plain(f"{document['id']} is {document['state']}, at version {document['version']}")
        )
    return output.HOLDS


def _line(item: dict[str, Any]) -> str:
    due = "no due time" if item["due"] is None else f"due {moment(item['due'])}"
    late = " OVERDUE" if item["overdue"] else ""
    fields = ", ".join(f"{name} {shown(value)}" for name, value in item["shows"].items())
    barred = item["why_not"]
    held = f"; yours until {moment(item['held_until'])}" if item["holder"] and barred is None else ""
    if barred is not None:
        held = f"; not you: {next(f'{why} {what}' for why, what in barred.items())}"
    asked = f"asked by {item['asked_by']}"
    rest = f" ({fields})" if fields else ""
    if item["owed"] is not None:
        return f"{item['id']}  {_owed(item)}{rest}, {due}{late}{held}; {_typed(item['owed'])}"
    return f"{item['id']}  {item['command']} {item['record']}{rest}, {due}{late}, {asked}{held}"


def _owed(item: dict[str, Any]) -> str:
    """What is stuck, why, and under which key the other side knows it."""
    what = item["owed"]
    where = f" at {what['destination']}" if what["destination"] else ""
    of = f"{item['entity']} {item['record']}" if item["record"] else item["entity"]
    key = f" (key {what['key']})" if SETTLE in what["ways"] else ""
    unclear = ", may have been done" if what["unclear"] else ""
    return f"{what['name']} of {of}{where}{key} is stuck: {what['stuck']}, {what['detail']}{unclear}"


def _typed(owed: dict[str, Any]) -> str:
    """What is typed to see to it."""
    way = owed["ways"][0]
    ended = " --done JSON (or --failed CODE)" if way == SETTLE else ""
    shown_by = " --evidence TEXT" if owed["unclear"] else ""
    return f"avow effects {way} {owed['work']}{ended} --as WHO --reason WHY{shown_by}"


def _body(text: str) -> Any:
    try:
        return json_text.loads(text.encode(errors="surrogateescape"))
    except ProblemError as error:
        detail = f"--input isn't JSON: {error.problem.detail}"
        raise UsageError(detail, """Such as --input '{"amount": 5}'.""") from None


def _id(text: str) -> UUID:
    return parse_id(text, "task", "Take one from `avow inbox list`.")


def _at_desk(
    target: str, tenant: str, subject: str, roles: tuple[str, ...], ask: Callable[[Desk], Awaitable[Answer]]
) -> Answer:
    system = load_target(target)
    if not asks(system):
        mend = "Write task=task(ROLE) in a transition or an effect, or system(..., operators=...)."
        raise UsageError(f"{system.name} asks nobody anything", mend)
    actor = Actor(Subject(subject), tenant, frozenset(roles), CREDENTIAL)

    async def run(pool: Pool) -> Answer:
        engine = Engine(system, pool, problem_body, keyring=private_keyring(system))
        return await ask(Desk(system, actor, Inbox(system, pool), engine))

    return ask_pool(system, run)
