"""`avow why`: from a value back to who set it, by which command, and what allowed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from avow.cli import output
from avow.cli.record import answer, asked, reader_options
from avow.cli.shown import WIDTH, changed, moment, shown, who, wrapped
from avow.cli.word import instant_of
from avow.engine.explain import why
from avow.errors import UsageError
from avow.model.system import System

LABEL: Final = 12


@click.command(name="why")
@click.argument("record")
@click.argument("field", required=False)
@click.option("--at", metavar="TIME", help="As it was at a time, such as 2026-11-21T09:30:00Z.")
@click.option("--as-of", metavar="TIME", help="From what could be known at a time: its newest checkpoint.")
@reader_options
@output.json_option
def command(
    record: str, field: str | None, at: str | None, as_of: str | None, target: str, tenant: str,
    subject: str | None, roles: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Say why RECORD (such as enrollments/ID), or one FIELD of it, is as it is: which command set it, who
    sent that, what allowed it, which values that rested on, and what caused it.

    Everything is told from the audit log, in the words of the boundary that was in force then.
    """
    question = asked(target, record, tenant, subject, roles)
    if field is not None and field not in question.entity.fields:
        known = ", ".join(question.entity.fields)
        mend = f"Fields: {known}. Without a field you are told why it is in its state."
        raise UsageError(f"{question.entity.name} has no field {field[:40]}", mend)
    when = instant_of(at, "--at")
    found = answer(
        question,
        lambda reads: why(
            question.system, reads, question.reader, question.entity, question.record, field, when
        ),
        instant_of(as_of, "--as-of"),
    )
    if as_json:
        output.document(found)
    else:
        output.data("\n".join(_text(question.system, found)))
    return output.HOLDS


def _text(system: System, found: dict[str, Any]) -> Iterator[str]:
    name = found["field"] or f"{system.entities[found['kind']].plural}/{found['id']}"
    if found.get("hidden"):
        yield f"{name} is hidden from this reader"
        return
    if found["because"] is None and (gone := found.get("dropped")):
        yield from _line(name, f"set by an entry that isn't here: {_gone(gone)}")
        return
    if found["because"] is None:
        yield f"{name}: there was no such record yet"
        return
    if found["field"] is None:
        yield f"{name} is {found['state']}, at version {found['version']}"
        for field, held in found["values"].items():
            yield from _line(field, _known(held))
        yield "because"
    else:
        yield f"{name} = {_known(found)}  because"
    yield from _because(found["because"], "  ")


def _gone(dropped: dict[str, Any]) -> str:
    return (
        f"versions up to {dropped['version']} were dropped at {dropped['at']}, exported to"
        f" {dropped['exported_to']}"
    )


def _known(held: dict[str, Any]) -> str:
    return "(set earlier than was looked)" if held.get("unknown") else shown(held["value"])


def _because(step: dict[str, Any], indent: str) -> Iterator[str]:
    """One entry, and below it what caused it."""
    head = output.plain(f"{indent}{step['kind']}.{step['transition']}  by {who(step['actor'])}")
    yield f"{head:<{WIDTH - 26}}  {moment(step['at'])}"
    before = step["from"] or "(new)"
    yield from _line("state", f"{before} -> {step['to']}, version {step['version']}", indent)
    yield from _line("changed", "; ".join(changed(*change) for change in step["changes"].items()), indent)
    yield from _line("input", ", ".join(f"{n} {shown(v)}" for n, v in step["input"].items()), indent)
    yield from _rules(step, indent)
    if isinstance(step["request"], str):
        credential = step["actor"]["credential"] or "none"
        yield from _line("request", f"{step['request']}, credential {credential}", indent)
    boundary = step["boundary"]
    age = "today's" if boundary["current"] else "an earlier one" if boundary["known"] else "not known here"
    yield from _line("boundary", f"{boundary['fingerprint'][:12]} ({age})", indent)
    entry = step["entry"]
    said = "intact" if entry["intact"] else "ALTERED: run `avow verify`"
    yield from _line("audit", f"entry {entry['number']:,}, hash {entry['hash'][:12]}, {said}", indent)
    yield from _cause(step["cause"], indent)


def _rules(step: dict[str, Any], indent: str) -> Iterator[str]:
    allowed = step.get("allowed_by")
    if allowed is None:
        yield from _line("allowed by", "a boundary that isn't known here", indent)
        return
    yield from _line("trigger", allowed["trigger"] or "", indent)
    yield from _line("allowed by", allowed["policy"], indent)
    if allowed["from"]:
        yield from _line("from", " or ".join(allowed["from"]), indent)
    yield from _line("guard", allowed["guard"] or "", indent)
    kept = "; ".join(f"{name}: {text}" for name, text in allowed["invariants"].items())
    yield from _line("invariants", kept, indent)
    yield from _line("resting on", "; ".join(map(_rested, step["rested_on"])), indent)


def _rested(part: dict[str, Any]) -> str:
    if "of" in part:
        other = part["of"]
        where = other["detail"] if other.get("hidden") else f"{other['kind']} at version {other['version']}"
        return f"{part['read']} of {where}"
    if part.get("unknown"):
        return f"{part['read']} (set earlier than was looked)"
    return f"{part['read']} {shown(HIDDEN if part.get('hidden') else part.get('value'))}"


HIDDEN: Final = {"hidden": True}


def _cause(cause: dict[str, Any] | None, indent: str) -> Iterator[str]:
    if cause is None:
        return
    if cause.get("hidden"):
        yield from _line("caused by", cause["detail"], indent)
    elif "transition" not in cause:
        yield from _line("caused by", f"{cause['kind']} {cause['id']} at version {cause['version']}", indent)
    else:
        yield output.plain(f"{indent}  caused by  {cause['kind']} {cause['id']}")
        yield from _because(cause, f"{indent}    ")


def _line(label: str, text: str, indent: str = "") -> Iterator[str]:
    """A labelled line, wrapped; nothing for an empty text."""
    if text:
        first = f"{indent}  {label:<{LABEL}}"
        yield from wrapped(text, first, " " * len(first))
