"""As many fields as there may be fit a row, all of them long."""

from __future__ import annotations

from typing import Any

import avow
from avow.declare.check import FIELDS_MAX
from avow.engine.verify import verify
from avow.model.system import System
from avow.store.pool import connect
from tests.fix_database import MakeDatabase
from tests.store.company import engine, request

LONG = "\N{EURO SIGN}" * 1_000


def wide() -> System:
    """A declaration of one entity with that many texts, as its owner would have written it."""
    names = [f"f{n}" for n in range(FIELDS_MAX)]
    lines = [
        *(f"{name}: str = field(default='')" for name in names),
        "visible = read(by=everybody)",
        "there = State(initial=True, final=True)",
        f"fill = create(there, by=everybody, sets=[{', '.join(names)}])",
    ]
    scope: dict[str, Any] = vars(avow).copy()
    exec("class Form(Entity):\n    " + "\n    ".join(lines), scope)  # noqa: S102
    return avow.system("forms", scope["Form"])


async def test_a_record_with_every_field_at_its_longest_is_kept_and_holds(database: MakeDatabase) -> None:
    forms = wide()
    made = database(forms)
    admin = await connect(made.admin_url)
    async with engine(forms, made.application_url) as one:
        given = dict.fromkeys(forms.entities["Form"].fields, LONG)
        assert (await one.execute(request("Form", "fill", None, given))).status == 201
    assert (await verify(admin, forms)).findings == []
    await admin.close()
