"""`avow erase`: have everything private about a person erased, the way the application declares it.

It gives the declared commands, as the person who is named: first the one that asks for it, then, called again
by somebody else where two have to agree, the one that erases. What stands against it there does so here.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final
from uuid import UUID, uuid4

import click

from avow.api.app import problem_body
from avow.cli import output
from avow.cli.connection import database_url
from avow.cli.options import roles_option, target_option, tenant_option
from avow.cli.settings import private_keyring
from avow.cli.target import load_target
from avow.cli.word import SUBJECT
from avow.engine.execute import Engine, Reply, Request
from avow.engine.identifier import new_id_text
from avow.errors import Problem, ProblemError, UsageError
from avow.model.actor import Actor
from avow.model.article import with_article
from avow.model.entity import Entity, Transition
from avow.model.expression import render
from avow.model.system import System
from avow.model.types import Text
from avow.model.values import Subject
from avow.store.pool import Pool, connect
from avow.store.schema.rights import demand_own_tables
from avow.store.subjects import Subjects

CREDENTIAL: Final = "avow erase"
_MEND: Final = "Declare a transition with erases=PERSON; docs/how-to/private-data.md shows one."


@click.command(name="erase")
@click.argument("person", metavar="SUBJECT", type=SUBJECT)
@click.option("--reason", required=True, help="Why, such as the legal ground; kept with the entry.")
@click.option("--as", "subject", metavar="NAME", required=True, type=SUBJECT, help="Who asks for it.")
@roles_option
@tenant_option("Whose data it is.")
@target_option
@output.json_option
def command(
    person: str, reason: str, subject: str, roles: tuple[str, ...], tenant: str, target: str, as_json: bool
) -> int:
    """Erase everything private about SUBJECT, for good: its key is destroyed, and what it encrypted.

    Gives the commands that the application declares for it. Where two people have to agree, the second one
    calls it again. Exit code 0: it is erased; 1: somebody else has to agree, or it may not be erased now.
    """
    system = load_target(target)
    actor = Actor(Subject(subject), tenant, frozenset(roles), CREDENTIAL)
    with database_url(system) as url:
        done = asyncio.run(_Erasing(system, url, actor, person, reason).run())
    if as_json:
        output.document(done)
    else:
        output.data(output.plain(_said(done, person)))
    return output.HOLDS if done["erased"] else output.FOUND


def erasing_of(system: System) -> tuple[Entity, Transition, str]:
    """The transition that erases, its entity, and the field that names the person. Raises UsageError."""
    for entity in system.entities.values():
        for transition in entity.erasing:
            return entity, transition, str(transition.erases)
    raise UsageError(f"{system.name} doesn't declare how anybody is forgotten", _MEND)


class _Erasing:
    """One step towards an erasure."""

    def __init__(self, system: System, url: str, actor: Actor, person: str, reason: str) -> None:
        self._system, self._url, self._actor = system, url, actor
        self._person, self._reason = person, reason
        self._entity, self._erasing, self._field = erasing_of(system)

    async def run(self) -> dict[str, Any]:
        """Ask for it, or do it where it was asked for; what came of it."""
        connection, pool = await connect(self._url), Pool(self._url, 2)
        try:
            await demand_own_tables(connection, self._system)
            subjects = Subjects(connection, self._system, self._actor.tenant)
            await subjects.act_as_owner()
            held = sum(row["number"] for row in await subjects.held(self._person))
            waiting = None
            if not self._erasing.creation:
                states = self._erasing.sources
                waiting = await subjects.open_erasure(self._entity, self._field, self._person, states)
            reply = await self._give(pool, waiting)
            left = sum(row["number"] for row in await subjects.held(self._person))
        finally:
            await pool.close()
            await connection.close()
        erased = waiting is not None or self._erasing.creation
        return {
            "erasure": str(reply.record),
            "erased": erased,
            "values": held - left if erased else held,
            "needs": None if erased else render(self._erasing.by),
        }

    async def _give(self, pool: Pool, waiting: UUID | None) -> Reply:
        transition = self._erasing if waiting is not None else self._asking()
        given = {} if waiting is not None else self._arguments(transition)
        engine = Engine(self._system, pool, problem_body, keyring=private_keyring(self._system))
        reply = await engine.execute(Request(
            self._entity.name, transition.command, waiting, given, self._actor, str(uuid4()), b"",
            new_id_text(),
        ))  # fmt: skip
        if reply.problem is not None:
            raise ProblemError(reply.problem)
        if reply.status >= 400:
            told = json.loads(reply.body)
            raise ProblemError(Problem(told["type"].rpartition("/")[2], told.get("detail", "")))
        return reply

    def _asking(self) -> Transition:
        """The creation that begins it."""
        starts = [t for t in self._entity.transitions.values() if t.creation and self._field in t.sets]
        if not starts:
            what = with_article(self._entity.name)
            raise UsageError(f"nothing creates {what} with its {self._field}", _MEND)
        return starts[0]

    def _arguments(self, transition: Transition) -> dict[str, Any]:
        """The person, and the reason in the one text that the command takes."""
        given: dict[str, Any] = {self._field: Subject(self._person)}
        for parameter in transition.parameters:
            if parameter.name != self._field and isinstance(parameter.type, Text):
                given[parameter.name] = self._reason
                break
        return given


def _said(done: dict[str, Any], person: str) -> str:
    values = f"{output.counted(done['values'], 'private value')} about {person}"
    if done["erased"]:
        return f"{values} erased ({done['erasure']})"
    return f"asked for: {values} to be erased by whoever is {done['needs']} ({done['erasure']})"
