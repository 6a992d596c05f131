"""Making the tables of a declaration, and bringing them up to a changed one where that loses nothing.

Needs a login that may create roles and schemas. One transaction; two at once wait for each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from avow.errors import EnvironmentFault
from avow.model.entity import Entity, Field
from avow.model.system import System, destinations, edges
from avow.store import driver
from avow.store.columns import blind_columns, column_type, performers_column
from avow.store.driver import Connection
from avow.store.schema import upgrade
from avow.store.schema.functions import functions, quota_broken
from avow.store.schema.rights import demand_encoding, demand_owner, demand_version
from avow.store.schema.tables import (
    Roles,
    add_constraint,
    blind_index,
    constraints_of,
    create_table,
    reference_index,
    sql_constant,
    table_of,
)
from avow.store.schema.unheld import unheld
from avow.store.schema.waits import bring_times, demand_calls
from avow.store.statements import literal, named, quote, text, whole

LOCK_WAIT_MS = 5_000
"""How long a change waits for commands that hold its table; they wait behind it meanwhile."""
TURN_WAIT_S_MAX = 300
"""How long an installation waits for another one."""


async def install(connection: Connection, system: System) -> bool:
    """Make everything that a declaration needs; True if something changed.

    Brings Avow's own tables to the version of this code first: see upgrade.py.
    On tables of an earlier declaration: adds entities, states, fields that may be missing or have a
    constant default, replaces constraints and functions, makes constraints again that somebody has dropped,
    and notes new times for the records that wait.
    Servers of the earlier declaration go on working. Raises EnvironmentFault, with nothing changed, for
    what could lose data or strand records: a removed or retyped field, a removed entity, a removed state
    that records are in, a rule that existing rows break, a call that is new to records or under way.
    """
    demand_version(await connection.fetchval(text("install.sql", "server_version")))
    demand_encoding(await connection.fetchval(text("install.sql", "encoding")))
    made = functions(system)
    digest = hashlib.sha256("\n".join(made).encode()).hexdigest()
    async with _understood(), connection.transaction():
        await _take_turn(connection)
        await demand_owner(connection, system)
        if await connection.fetchval(text("install.sql", "installed")):
            stepped = await upgrade.bring_up(connection, system)
        else:
            stepped = await _make_all(connection, system)
        latest = await connection.fetchrow(text("install.sql", "latest_boundary"))
        same = not stepped and latest is not None and latest["fingerprint"] == system.fingerprint
        await connection.execute(f"SET LOCAL ROLE {quote(Roles.of(system).owner)}")
        await connection.execute("SET LOCAL avow.scope = 'all'")
        made_before = await connection.fetchval(text("install.sql", "functions_made"))
        if same and made_before == digest and not await unheld(connection, system):
            await bring_times(connection, system)
            return False
        await _Tables(connection, system, latest).bring_up()
        for statement in made:
            await connection.execute(statement)
        await connection.execute(f"COMMENT ON SCHEMA avow IS {literal(digest)}")
        await _record_boundary(connection, system)
        await bring_times(connection, system)
        await connection.execute("RESET ROLE")
    return True


async def _take_turn(connection: Connection) -> None:
    """One installation at a time; DDL gives up rather than queue behind a long transaction.

    A big table may take as long as it needs: its constraints are checked against every row.
    """
    await connection.execute(
        f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{TURN_WAIT_S_MAX}s'"
    )
    await connection.execute(text("install.sql", "one_at_a_time"))
    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")


@asynccontextmanager
async def _understood() -> AsyncGenerator[None]:
    """What PostgreSQL refuses, in words that say what to do."""
    try:
        yield
    except (driver.LockNotAvailable, *driver.Retryable):
        raise EnvironmentFault(
            "tables-busy", "another transaction holds a table for too long", "Try again when it has ended."
        ) from None
    except driver.ReadOnly as error:
        raise EnvironmentFault(
            "database-read-only",
            f"the database takes no writes: {error}",
            "Use the URL of the server that does, or take back default_transaction_read_only.",
        ) from None
    except driver.InsufficientPrivilege as error:
        raise EnvironmentFault(
            "rights-missing",
            f"the tables can't be made: {error}",
            "Use a URL of a superuser, or of a role with CREATEROLE that owns the database.",
        ) from None


async def _make_roles(connection: Connection, roles: Roles) -> None:
    """Make the roles that aren't there; they belong to the cluster, not to one database."""
    for name in (roles.owner, roles.application, roles.reader):
        if await connection.fetchval(text("install.sql", "role_exists"), name):
            continue
        try:
            async with connection.transaction():
                await connection.execute(f"CREATE ROLE {quote(name)} NOLOGIN")
        except driver.AlreadyThere:
            continue  # made in the same moment, for another database of the same application
    if not await connection.fetchval(text("install.sql", "may_act_as"), roles.owner):
        await connection.execute(f"GRANT {quote(roles.owner)} TO SESSION_USER")


async def _make_all(connection: Connection, system: System) -> bool:
    """Make roles, Avow's own tables, and the schema of the application's."""
    roles = Roles.of(system)
    await _make_roles(connection, roles)
    await connection.execute(whole("schema.sql").substitute(roles.quoted(), version=upgrade.VERSION))
    await connection.execute(f"CREATE SCHEMA {quote(system.name)} AUTHORIZATION {quote(roles.owner)}")
    await connection.execute(
        f"GRANT USAGE ON SCHEMA {quote(system.name)} TO {quote(roles.application)}, {quote(roles.reader)}"
    )
    return True


async def _record_boundary(connection: Connection, system: System) -> None:
    await connection.execute(
        text("install.sql", "record_boundary"),
        system.fingerprint,
        system.description,
    )
    await connection.executemany(
        text("install.sql", "record_destination"), [(name,) for name in destinations(system)]
    )
    await connection.executemany(
        text("install.sql", "record_edge"),
        [(system.fingerprint, *edge) for edge in edges(system)],
    )


class _Tables:
    """Brings the tables from the last boundary to this one."""

    def __init__(self, connection: Connection, system: System, latest: Any) -> None:
        self.connection, self.system = connection, system
        self.before: dict[str, Any] = {} if latest is None else json.loads(latest["description"])["entities"]

    async def bring_up(self) -> None:
        if gone := sorted(set(self.before) - set(self.system.entities)):
            raise _refused(
                f"{', '.join(gone)} is declared no longer", "Keep the entity; its records have a history."
            )
        for entity in self.system.entities.values():
            known = self.before.get(entity.name)
            if known is None:
                for statement in create_table(self.system, entity):
                    await self.connection.execute(statement)
            else:
                await self._change(entity, known)
        for entity in self.system.entities.values():
            await self._constrain(entity)

    async def _change(self, entity: Entity, known: dict[str, Any]) -> None:
        if known["plural"] != entity.plural:
            raise _refused(
                f"{entity.name} is now called {entity.plural}", f'Keep plural="{known["plural"]}".'
            )
        await self._change_columns(entity, known["fields"])
        await self._demand_states(entity, known["states"])
        await demand_calls(self.connection, self.system, entity, known)
        await self._add_columns(entity, known)

    async def _change_columns(self, entity: Entity, known: dict[str, Any]) -> None:
        for name, described in known.items():
            field, where = entity.fields.get(name), f"{entity.name}.{name}"
            if field is None:
                raise _refused(f"{where} is declared no longer", "Keep the field; make it optional.")
            if _stored_as(field.type.describe()) != _stored_as(described):
                raise _refused(f"{where} has another type", "Declare a new field beside it.")
            if described["optional"] is not field.optional:
                null = "DROP NOT NULL" if field.optional else "SET NOT NULL"
                table = table_of(self.system, entity)
                await self._execute(f"ALTER TABLE {table} ALTER {quote(name)} {null}", where)

    async def _demand_states(self, entity: Entity, known: dict[str, Any]) -> None:
        """No record is in a state that is declared no longer."""
        for name in sorted(set(known) - set(entity.states)):
            query = named("install.sql")["count_in_state"].substitute(table=table_of(self.system, entity))
            if count := await self.connection.fetchval(query, name):
                records = "1 record is" if count == 1 else f"{count} records are"
                raise _refused(
                    f"{records} in {entity.name}.{name}, which is declared no longer",
                    "Keep the state until they have left it.",
                )

    async def _add_columns(self, entity: Entity, known: dict[str, Any]) -> None:
        table = table_of(self.system, entity)
        for field in entity.fields.values():
            if field.name in known["fields"]:
                continue
            column = f"ALTER TABLE {table} ADD COLUMN {quote(field.name)} {column_type(field.type)}"
            if field.optional:
                await self.connection.execute(column)
            else:
                column += f" NOT NULL DEFAULT {_default_of_existing(entity, field)}"
                await self.connection.execute(column)
                await self.connection.execute(f"ALTER TABLE {table} ALTER {quote(field.name)} DROP DEFAULT")
            if index := reference_index(self.system, entity, field):
                await self.connection.execute(index)
            if blind := blind_columns(entity).get(field.name):
                await self.connection.execute(f"ALTER TABLE {table} ADD COLUMN {quote(blind)} bytea")
                await self.connection.execute(blind_index(self.system, entity, field.name))
        for transition in entity.tracked:
            if transition not in known["tracked"]:
                column = quote(performers_column(transition))
                await self.connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} text[]")

    async def _constrain(self, entity: Entity) -> None:
        """Replace every constraint that isn't what is declared now."""
        wanted = {c.name: c for c in constraints_of(self.system, entity)}
        rows = await self.connection.fetch(
            text("install.sql", "constraints"), self.system.name, entity.plural
        )
        held = {row["name"]: row for row in rows}
        for name, row in held.items():
            constraint = wanted.get(name)
            if constraint is None or row["comment"] != constraint.definition:
                await self.connection.execute(_drop(self.system, entity, name, row["index_only"]))
        for name, constraint in wanted.items():
            if (name in held and held[name]["comment"] == constraint.definition) or not constraint.definition:
                continue
            await self._execute(add_constraint(constraint) or "", constraint.rule)
            await self.connection.execute(_comment(self.system, entity, name, constraint.definition))
        for quota in entity.quotas:
            if await self.connection.fetchval(quota_broken(self.system, entity, quota)):
                raise _broken_by(f"{entity.name}.{quota.name}")

    async def _execute(self, statement: str, rule: str) -> None:
        try:
            await self.connection.execute(statement)
        except driver.IntegrityBroken:
            raise _broken_by(rule) from None


def _stored_as(described: Any) -> Any:
    """What of a type's description decides how its values are stored; bounds don't."""
    if not isinstance(described, dict):
        return described
    members = cast("dict[str, Any]", described)
    kept = ("type", "digits", "scale", "currency", "entity", "item", "members", "value")
    found = {key: _stored_as(members[key]) for key in kept if key in members}
    if members.get("type") == "object":
        found["members"] = {name: _stored_as(member) for name, member in members["members"].items()}
    return found


def _default_of_existing(entity: Entity, field: Field) -> str:
    """What existing records get in a new field that must have a value."""
    default = getattr(field.default, "value", None)
    if default is None:
        raise _refused(
            f"{entity.name}.{field.name} is new, and existing records have no value for it",
            "Write `| None`, or give it a constant default.",
        )
    return sql_constant(field.type, default)


def _drop(system: System, entity: Entity, name: str, index_only: bool) -> str:
    if index_only:
        return f"DROP INDEX {quote(system.name)}.{quote(name)}"
    return f"ALTER TABLE {table_of(system, entity)} DROP CONSTRAINT {quote(name)}"


def _comment(system: System, entity: Entity, name: str, definition: str) -> str:
    """The definition is kept as the constraint's comment, so that a changed one is recognised."""
    if definition.startswith("CREATE "):
        return f"COMMENT ON INDEX {quote(system.name)}.{quote(name)} IS {literal(definition)}"
    return f"COMMENT ON CONSTRAINT {quote(name)} ON {table_of(system, entity)} IS {literal(definition)}"


def _broken_by(rule: str) -> EnvironmentFault:
    return _refused(
        f"existing records break {rule}",
        "Correct the records first, by commands of the declaration in force.",
    )


def _refused(detail: str, mend: str) -> EnvironmentFault:
    return EnvironmentFault("change-refused", f"the tables can't follow the declaration: {detail}", mend)


async def login(connection: Connection, system: System, name: str, password: str) -> None:
    """Make a login that is a member of the application role and of nothing else, or renew its password."""
    exists = await connection.fetchval(text("install.sql", "role_exists"), name)
    verb = "ALTER" if exists else "CREATE"
    try:
        await connection.execute(f"{verb} ROLE {quote(name)} LOGIN PASSWORD {literal(password)}")
        await connection.execute(f"GRANT {quote(Roles.of(system).application)} TO {quote(name)}")
    except driver.ConcurrentlyUpdated:
        return  # "tuple concurrently updated": another start is doing the same with the same password


async def create_database(connection: Connection, name: str) -> None:
    """Make a database, if there is none of this name."""
    if await connection.fetchval(text("install.sql", "database_exists"), name):
        return
    try:
        await connection.execute(f"CREATE DATABASE {quote(name)} TEMPLATE template0 ENCODING 'UTF8'")
    except driver.AlreadyThere:
        return  # made by another start in the same moment
