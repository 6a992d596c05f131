"""`avow effects`: look at calls to the outside and times that are to come, and do what only a person can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from avow.cli import output
from avow.cli.connection import database_url
from avow.cli.record import moment
from avow.cli.target import load_target
from avow.cli.word import SUBJECT, TENANT, Word
from avow.engine.by_hand import settle_done, settle_failed
from avow.engine.execute import Engine, Outrun, Reply
from avow.errors import UsageError
from avow.model.effect import Effect
from avow.model.system import System
from avow.model.types import Misfit
from avow.store.operate import LISTED_MAX, STATES, By, Filter, Operations
from avow.store.pool import Pool, connect
from avow.store.rights import demand_own_tables

REASON: Final = Word(1_000)
SKIPPED: Final = "skipped"

Answer = TypeVar("Answer")
Command = Callable[..., Any]

_target: Final = click.option(
    "--target", default=".", show_default=True, help="The application: folder, file or module."
)
_MOVED: Final = "It is under way, or was touched since. See `avow effects list`."


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_who: Final = _options(
    click.option("--as", "subject", metavar="SUBJECT", required=True, type=SUBJECT, help="Who does it."),
    click.option("--reason", required=True, type=REASON, help="Why; it is kept."),
    _target,
    output.json_option,
)
_which: Final = _options(
    click.option("--tenant", metavar="NAME", type=TENANT, help="Only this tenant's."),
    click.option("--destination", metavar="NAME", type=SUBJECT, help="Only what goes there."),
    click.option("--entity", metavar="NAME", type=SUBJECT, help="Only of this entity."),
    click.option("--state", type=click.Choice(STATES), help="Only what is in this state."),
    click.option("--stuck", metavar="CODE", type=SUBJECT, help="Only what is stuck for this reason."),
)


@click.group(name="effects")
def command() -> None:
    """Look at calls to the outside and at times to come, and settle what only a person can.

    Works on the database as its owner. Whatever is done is kept with who did it and why.
    """


@command.command(name="list")
@_which
@_target
@output.json_option
def list_work(target: str, as_json: bool, **wanted: str | None) -> int:
    """List what is to be done, oldest first: what is waiting, under way, unclear, stuck or paused."""
    items = _work(load_target(target), lambda operations: operations.list(Filter(**wanted)))  # type: ignore[arg-type]
    if as_json:
        output.document({"items": [_document(item) for item in items]})
        return output.HOLDS
    for item in items:
        output.data(_line(item))
    if len(items) == LISTED_MAX:
        output.talk(f"there may be more than these {LISTED_MAX}; narrow it down")
    if not items:
        output.talk("nothing is to be done")
    return output.HOLDS


@command.command(name="show")
@click.argument("work", type=int)
@_target
@output.json_option
def show(work: int, target: str, as_json: bool) -> int:
    """Show one WORK: its key, how its attempts ended, and what operators did about it."""

    async def ask(operations: Operations) -> dict[str, Any]:
        item = await _one(operations, work)
        return {
            **_document(item),
            "attempts": [_document(a) for a in await operations.attempts(item)],
            "interventions": [_document(i) for i in await operations.interventions(item)],
        }

    found = _work(load_target(target), ask)
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
@click.argument("work", type=int, required=False)
@_which
@click.option("--yes", is_flag=True, help="Do it; without it, what would be touched is shown.")
@_who
def retry(
    work: int | None, yes: bool, subject: str, reason: str, target: str, as_json: bool, **wanted: str | None
) -> int:
    """Let a worker try WORK once more, or everything stuck that fits a filter. Under the same key: what may
    have been carried out isn't done twice, and what can't be sent again without doing it twice isn't.
    """
    narrowed = any(wanted.values())
    if (work is None) is not narrowed:
        raise UsageError(
            "name one WORK, or what it has to fit", "Such as `--destination psp --stuck unknown`."
        )
    if narrowed and wanted["state"] is None:
        wanted["state"] = "stuck"
    by = By(subject, reason)

    async def run(operations: Operations) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        items = await operations.list(Filter(work=work, **wanted))  # type: ignore[arg-type]
        if work is not None and not items:
            raise _unknown(work)
        if work is None and not yes:
            return items, []
        return items, [item for item in items if await operations.retry(item, by)]

    items, touched = _work(load_target(target), run)
    if work is not None and not touched:
        raise UsageError("nothing was done", _MOVED)
    if as_json:
        output.document({"items": [_document(item) for item in items], "retried": len(touched)})
        return output.HOLDS
    for item in touched or items:
        output.data(_line(item))
    output.talk(f"{len(touched)} of {len(items)} will be tried again" if touched or yes else
                f"{len(items)} would be tried again; add --yes to do it")  # fmt: skip
    return output.HOLDS


@command.command(name="settle")
@click.argument("work", type=int)
@click.option("--done", metavar="JSON", help="It was done, with this result; null where it has none.")
@click.option("--failed", metavar="CODE", type=Word(100), help="It wasn't done, and won't be.")
@click.option("--evidence", default="", help="What shows it, such as the provider's reference.")
@_who
def settle(
    work: int, done: str | None, failed: str | None, evidence: str, subject: str, reason: str,
    target: str, as_json: bool,
) -> int:  # fmt: skip
    """Say how the call WORK ended. The outcome's transition follows at once, under your name."""
    if (done is None) is (failed is None):
        raise UsageError("it was either done or it failed", "Give --done JSON or --failed CODE.")
    by = By(subject, reason, evidence)

    async def end(engine: Engine, item: dict[str, Any], effect: Effect | None) -> Reply:
        if effect is None:
            raise UsageError("a time has no outcome", f"See `avow effects skip {work}`.")
        if failed is not None:
            return await settle_failed(engine, item, effect, failed, by)
        return await settle_done(engine, item, effect, _json(str(done)), by)

    return _ended(work, load_target(target), end, as_json)


@command.command(name="skip")
@click.argument("work", type=int)
@_who
def skip(work: int, subject: str, reason: str, target: str, as_json: bool) -> int:
    """Give WORK up: a call is settled as failed, so that its record goes on; a time passes."""
    by = By(subject, reason)
    system = load_target(target)

    async def pass_by(operations: Operations) -> bool | None:
        item = await _one(operations, work)
        return None if item["destination"] else await operations.skip_time(item, by)

    passed = _work(system, pass_by)
    if passed is None:
        return _ended(work, system, lambda engine, item, effect: _give_up(engine, item, effect, by), as_json)
    if not passed:
        raise UsageError("nothing was done", _MOVED)
    return output.said({"work": work, "skipped": True}, f"{work} has passed", as_json)


@command.command(name="pause")
@click.argument("destination", type=SUBJECT)
@_who
def pause(destination: str, subject: str, reason: str, target: str, as_json: bool) -> int:
    """Let no call to DESTINATION begin. What is under way is ended."""
    return _pause(destination, True, By(subject, reason), target, as_json)


@command.command(name="resume")
@click.argument("destination", type=SUBJECT)
@_who
def resume(destination: str, subject: str, reason: str, target: str, as_json: bool) -> int:
    """Let calls to DESTINATION begin again."""
    return _pause(destination, False, By(subject, reason), target, as_json)


def _pause(destination: str, paused: bool, by: By, target: str, as_json: bool) -> int:
    word = "paused" if paused else "resumed"
    if not _work(load_target(target), lambda operations: operations.pause(destination, paused, by)):
        raise UsageError(f"{destination} is {word} already, or isn't known", "See `avow effects list`.")
    return output.said({"destination": destination, "paused": paused}, f"{destination} is {word}", as_json)


async def _give_up(engine: Engine, item: dict[str, Any], effect: Effect | None, by: By) -> Reply:
    if effect is None:
        raise _unknown(item["work"])
    return await settle_failed(engine, item, effect, SKIPPED, by, "skip")


End = Callable[[Engine, dict[str, Any], "Effect | None"], Awaitable[Reply]]


def _ended(work: int, system: System, end: End, as_json: bool) -> int:
    """Settle a call by hand, and say what became of its record."""

    async def run(url: str) -> tuple[dict[str, Any], Reply]:
        connection, pool = await connect(url), Pool(url)
        try:
            await demand_own_tables(connection, system)
            item = await _one(Operations(connection), work)
            if item["state"] == "under-way":
                raise UsageError("a worker is doing it now", _MOVED)
            engine = Engine(system, pool, lambda problem, command_id: b"")
            return item, await end(engine, item, system.entities[item["kind"]].effects.get(item["name"]))
        except Outrun:
            raise UsageError("nothing was done", _MOVED) from None
        except Misfit as misfit:
            raise UsageError(f"the result doesn't fit: {misfit}", "Give it as the effect declares.") from None
        finally:
            await pool.close()
            await connection.close()

    with database_url(system) as url:
        item, reply = asyncio.run(run(url))
    if reply.problem is not None:
        output.error(reply.problem.code, reply.problem.detail, "The record's rules refuse it.", as_json)
        return output.FOUND
    state = json.loads(reply.body)["state"]
    shown = {"work": work, "kind": item["kind"], "id": str(item["id"]), "state": state}
    return output.said(shown, f"{item['kind']} {item['id']} is {state}", as_json)


def _work(system: System, ask: Callable[[Operations], Awaitable[Answer]]) -> Answer:
    async def run(url: str) -> Answer:
        connection = await connect(url)
        try:
            await demand_own_tables(connection, system)
            return await ask(Operations(connection))
        finally:
            await connection.close()

    with database_url(system) as url:
        return asyncio.run(run(url))


async def _one(operations: Operations, work: int) -> dict[str, Any]:
    items = await operations.list(Filter(work=work))
    if not items:
        raise _unknown(work)
    return items[0]


def _unknown(work: int) -> UsageError:
    return UsageError(f"there is no work {work}: it was settled, or never was", "See `avow effects list`.")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise UsageError("--done isn't JSON", """Such as --done '{"id": "ch_1"}', or null.""") from None


def _line(item: dict[str, Any]) -> str:
    why = f": {item['stuck']}, {item['detail']}" if item["stuck"] else ""
    where = f"to {item['destination']}" if item["destination"] else f"at {moment(item['due'].isoformat())}"
    return output.plain(
        f"{item['work']}  {item['kind']} {item['id']}  {item['name']} {where}, "
        f"{item['state']}{why}, attempt {item['attempt']}"
    )


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """As plain JSON."""
    plain = (str, int, bool, type(None))
    return {
        k: v if isinstance(v, plain) else v.isoformat() if hasattr(v, "isoformat") else str(v)
        for k, v in row.items()
    }
