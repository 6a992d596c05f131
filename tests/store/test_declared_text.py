"""Text of a declaration is text in the database, whatever SQL it looks like."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from avow import (
    Entity,
    State,
    authenticated,
    create,
    field,
    invariant,
    quota,
    read,
    ref,
    system,
    transition,
    unique,
)
from avow.store.pool import connect
from avow.store.statements import literal
from tests.acting import acting
from tests.fix_database import MakeDatabase

ODD = "it's $1 $function$ $$ @{kind} \\ \\' %s \"; -- /* \n é"


class Mark(StrEnum):
    """Words that would end a string, or the body of a function."""

    END = "$function$; DROP SCHEMA avow CASCADE; --"
    QUOTE = "'); --\\"


@dataclass(frozen=True)
class Label:
    """A default that is kept as JSON."""

    text: str


class Sign(Entity):
    """With odd text in every place where a declaration has text."""

    text: str = field(default=ODD, max_length=100)
    words: list[str] = field(default=(ODD, "$function$"))
    mark: Mark = field(default=Mark.END)
    label: Label = field(default=Label(ODD))
    above: Sign | None = ref()
    visible = read(by=authenticated)

    shown, gone = State(initial=True), State(final=True)
    odd = invariant((text != "$function$") & (mark != Mark.QUOTE), ODD)
    one_text = unique(text, message=ODD)
    few = quota(above, among=[shown], limit=1, message=ODD)

    put_up = create(shown, by=authenticated, sets=[text, mark, above])
    write = transition(shown, to=shown, by=authenticated, sets=[text, mark])
    take_down = transition(shown, to=gone, by=authenticated, when=text != ODD + "$")


signs = system("signs", Sign)


async def test_odd_text_of_a_declaration_is_installed_stored_and_compared_as_it_is(
    database: MakeDatabase,
) -> None:
    async with acting(database(signs)) as act:
        sign = await act.do("Sign", "put_up", None, {}, "ann")
        shown = json.loads((await act.attempt("Sign", "write", sign, {"text": ODD + "$"}, "ann")).body)
        assert (shown["text"], shown["words"]) == (ODD + "$", [ODD, "$function$"])
        assert (shown["mark"], shown["label"]) == (Mark.END, {"text": ODD})
        refused = await act.attempt("Sign", "write", sign, {"text": "$function$"}, "ann")
        assert (refused.status, refused.body) == (409, b"invariant-violated")
        assert (await act.attempt("Sign", "take_down", sign, {}, "ann")).body == b"guard-failed"
        await act.do("Sign", "write", sign, {"text": ODD}, "ann")
        await act.do("Sign", "take_down", sign, {}, "ann")


async def test_a_constant_is_read_as_it_was_meant_and_ends_no_function(database: MakeDatabase) -> None:
    admin = await connect(database(signs).admin_url)
    for text in (ODD, "$", "\\", "\\$", "'$'", "\\x24$", "plain", ""):
        assert "$" not in literal(text)
        assert await admin.fetchval(f"SELECT {literal(text)}") == text
    await admin.close()
