"""`avow history`: what happened to a record, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from avow.canonical import INTEGER_MAX
from avow.cli import output
from avow.cli.record import answer, asked, reader_options
from avow.cli.shown import WIDTH, changed, moment, who, wrapped
from avow.cli.word import instant_of
from avow.engine.explain import Operator, history
from avow.store.log.reads import Dropped
from avow.store.reads import Reads

INDENT: Final = " " * 6
LIMIT_MAX: Final = 900


@click.command(name="history")
@click.argument("record")
@click.option(
    "--after",
    default=0,
    show_default=True,
    type=click.IntRange(0, INTEGER_MAX),
    help="Begin after this version.",
)
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, LIMIT_MAX),
    help="At most so many entries.",
)
@click.option("--as-of", metavar="TIME", help="From what could be known at a time: its newest checkpoint.")
@reader_options
@output.json_option
def command(
    record: str, after: int, limit: int, as_of: str | None, target: str, tenant: str, subject: str | None,
    roles: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Show what happened to RECORD (such as enrollments/ID), oldest first: each transition with who, when,
    and what it changed from what to what."""
    question = asked(target, record, tenant, subject, roles)

    async def ask(reads: Reads) -> tuple[list[dict[str, Any]], Dropped | None] | None:
        found = await history(
            question.system, reads, question.reader, question.entity, question.record, after, limit + 1
        )
        if found is None or not isinstance(question.reader, Operator):
            return None if found is None else (found, None)
        return found, await reads.dropped(question.reader.tenant, question.entity.name, question.record)

    items, gone = answer(question, ask, instant_of(as_of, "--as-of"))
    more = len(items) > limit
    items = items[:limit]
    if as_json:
        told = None if gone is None else {"version": gone.upto, "exported_to": gone.exported_to}
        output.document({"items": items, "more": more, "dropped": told})
        return output.HOLDS
    if gone is not None and gone.upto > after:
        output.talk(output.plain(f"versions {after + 1} to {gone.upto} were {gone.text}"))
    for item in items:
        output.data("\n".join(_item(item)))
    if not items:
        output.talk("there was no such record yet" if as_of and not after else "there is nothing after that")
    if more:
        output.talk(f"there are more: --after {items[-1]['version']}")
    return output.HOLDS


def _item(item: dict[str, Any]) -> Iterator[str]:
    before = item["from"] or "(new)"
    head = output.plain(f"{item['version']:>4}  {item['transition']}  {before} -> {item['to']}")
    yield f"{head:<{WIDTH - 26}}  {moment(item['at'])}"
    yield output.plain(f"{INDENT}by {who(item['actor'])}{_caused(item['cause'])}")
    for name, change in item["changes"].items():
        yield from wrapped(changed(name, change), INDENT, f"{INDENT}  ")
    if not item["entry"]["intact"]:
        yield f"{INDENT}ALTERED: run `avow verify`"


def _caused(cause: dict[str, Any] | None) -> str:
    if cause is None:
        return ""
    if cause.get("hidden"):
        return f", caused by {cause['detail']}"
    return f", caused by {cause['kind']} {cause['id']} at version {cause['version']}"
