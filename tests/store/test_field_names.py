"""A field may be called like anything that the functions of the write path call something themselves."""

from __future__ import annotations

import re

from avow import Entity, State, authenticated, create, field, performed, quota, read, ref, system, transition
from avow.store.pool import connect
from tests.fix_database import MakeDatabase
from tests.store.company import engine, request, tally

FUNCTIONS = """
SELECT coalesce(p.proargnames, '{}') AS arguments, p.prosrc AS source FROM pg_proc p
WHERE p.pronamespace = 'avow'::regnamespace
AND p.proname IN ('lock_versions', 'apply_entries', 'demand_quotas')
"""
DECLARATIONS = re.compile(r"DECLARE(.*?)BEGIN", re.DOTALL)
VARIABLE = re.compile(r"(\w+) +[a-z]+(?: :=[^;]*)?;")


class Concert(Entity):
    """With a field for each argument and each variable of the functions whose text depends on fields."""

    p_tenant: str = field(default="p_tenant")
    p_lock_of: str = field(default="p_lock_of")
    p_kinds: str = field(default="p_kinds")
    p_ids: str = field(default="p_ids")
    p_versions: str = field(default="p_versions")
    p_writes: str = field(default="p_writes")
    p_entries: str = field(default="p_entries")
    p_leaves: str = field(default="p_leaves")
    p_changing: str = field(default="p_changing")
    p_creating: str = field(default="p_creating")
    written: str = field(default="written")
    fresh: str = field(default="fresh")
    following: str = field(default="following")
    declared: str = field(default="declared")
    done: str = field(default="done")
    performers: int = field(default=3, ge=0)
    same: bool = field(default=False)
    current: int = field(default=7)
    used: int = field(default=2, ge=0)
    anchor: Concert | None = ref()
    visible = read(by=authenticated)

    planned, over = State(initial=True), State(final=True)
    few = quota(anchor, among=[planned], limit=anchor.performers, weight=used)  # pyright: ignore[reportOptionalMemberAccess]

    plan = create(planned, by=authenticated, sets=[anchor, used])
    hire = transition(
        planned, to=planned, by=authenticated, sets=[performers, same, current, p_tenant, written]
    )
    end = transition(planned, to=over, by=authenticated & ~performed(hire))


concerts = system("concerts", Concert)


async def test_every_variable_is_a_field_here_and_commands_work(database: MakeDatabase) -> None:
    made = database(concerts)
    admin = await connect(made.admin_url)
    functions = await admin.fetch(FUNCTIONS)
    await admin.close()
    variables = {name for function in functions for name in function["arguments"]}
    for function in functions:
        for declared in DECLARATIONS.findall(function["source"]):
            variables |= set(VARIABLE.findall(declared))
    assert variables <= set(Concert.__annotations__), "declare a field of this name here"
    async with engine(concerts, made.application_url) as one:
        first = await one.execute(request("Concert", "plan", None, {"used": 1}))
        below = [request("Concert", "plan", None, {"anchor": first.record, "used": 2}) for _ in range(2)]
        replies = [await one.execute(command) for command in below]
        assert tally(replies) == {"done": 1, "invariant-violated Concert.few": 1}
        hire = {"performers": 5, "same": True, "current": 9, "p_tenant": "x", "written": "{}"}
        hired = await one.execute(request("Concert", "hire", first.record, hire))
        assert hired.status == 200, hired
        assert (await one.execute(request("Concert", "plan", None, below[0].input))).status == 201
