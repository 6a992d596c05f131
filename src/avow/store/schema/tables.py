"""From the model to tables and their constraints. Text only; nothing runs here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from avow.canonical import INTEGER_MAX
from avow.model import types as kinds
from avow.model.entity import Entity, Exclusion, Field, Unique
from avow.model.system import System
from avow.model.types import Value, ValueType
from avow.store.columns import (
    blind_column,
    blind_columns,
    column_type,
    performers_column,
    sql_type,
)
from avow.store.conditions import Compiler, sql_literal
from avow.store.statements import literal, named, quote

IDENTIFIER_LENGTH_MAX = 63


@dataclass(frozen=True, slots=True)
class Roles:
    """The three roles of a database, by their names in the cluster."""

    owner: str
    application: str
    reader: str

    @classmethod
    def of(cls, system: System) -> Roles:
        """The names that belong to an application."""
        return cls(f"{system.name}_owner", f"{system.name}_application", f"{system.name}_reader")

    def login_statement(self) -> str:
        """The statement that makes a login which may serve, and nothing else."""
        return f"CREATE ROLE a_name LOGIN PASSWORD '...' IN ROLE {self.application};"

    def quoted(self) -> dict[str, str]:
        """As placeholders of the SQL files."""
        return {
            "owner": quote(self.owner),
            "application": quote(self.application),
            "reader": quote(self.reader),
        }


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint in the database and the rule of the declaration that it holds.

    table, name: where it is. definition: what follows ADD CONSTRAINT name; empty for one that isn't
    a table constraint. code: the problem it is answered with. rule, message: for people.
    """

    table: str
    name: str
    definition: str
    code: str
    rule: str
    message: str


def table_of(system: System, entity: Entity) -> str:
    """The table of an entity, quoted and with its schema."""
    return f"{quote(system.name)}.{quote(entity.plural)}"


def constraint_name(entity: Entity, rule: str) -> str:
    """The name of a rule's constraint: readable, unique in the schema, and short enough."""
    name = f"{entity.plural}__{rule}"
    if len(name) <= IDENTIFIER_LENGTH_MAX:
        return name
    return f"{name[:50]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def column_definition(field: Field) -> str:
    """A field's column; whether it may be null is part of it."""
    return f"{quote(field.name)} {column_type(field.type)}{'' if field.optional else ' NOT NULL'}"


def sql_constant(kind: ValueType, value: Value) -> str:
    """A constant value of a field as SQL without a subquery, as a column default needs it."""
    if sql_type(kind) == "jsonb":
        return f"{literal(json.dumps(kind.dump(value)))}::jsonb"
    if isinstance(kind, kinds.ListOf) and isinstance(value, tuple):
        listed = ", ".join(sql_literal(item) for item in cast("tuple[Value, ...]", value))
        return f"ARRAY[{listed}]::{sql_type(kind)}"
    return sql_literal(value)


def create_table(system: System, entity: Entity) -> list[str]:
    """The statements that make an entity's table with its row-level security; constraints come after."""
    columns = [column_definition(field) for field in entity.fields.values()]
    columns += [f"{quote(performers_column(t))} text[]" for t in entity.tracked]
    columns += [f"{quote(column)} bytea" for column in blind_columns(entity).values()]
    names = {**Roles.of(system).quoted(), "table": table_of(system, entity)}
    body = "".join(f"    {column},\n" for column in columns)
    statements = named("entity.sql")
    table = statements["table"].substitute(names, columns=body)
    return [
        table,
        *statements["security"].substitute(names).split(";\n"),
        *(made for f in entity.fields.values() if (made := reference_index(system, entity, f))),
        *(blind_index(system, entity, name) for name in entity.searchable),
    ]


def reference_index(system: System, entity: Entity, field: Field) -> str | None:
    """The statement that makes the index by which a reference's or a subject's records are found."""
    if not isinstance(field.type, kinds.Reference | kinds.SubjectType):
        return None
    name = quote(constraint_name(entity, f"{field.name}_index"))
    return f"CREATE INDEX {name} ON {table_of(system, entity)} (tenant, {quote(field.name)}, id)"


def blind_index(system: System, entity: Entity, field: str) -> str:
    """The statement that makes the index by which records are found by a private value."""
    name, column = quote(constraint_name(entity, f"{field}_blind")), quote(blind_column(field))
    return f"CREATE INDEX {name} ON {table_of(system, entity)} (tenant, {column}, id)"


def constraints_of(system: System, entity: Entity) -> list[Constraint]:
    """Every constraint that holds the declaration of an entity."""
    table = table_of(system, entity)
    compiler = Compiler(system, entity, "")
    found = [_states(entity, table)]
    for field in entity.fields.values():
        found.extend(_bounds(entity, field, table))
        if isinstance(field.type, kinds.Reference):
            found.append(_reference(system, entity, field, table))
    for invariant in entity.invariants:
        rule = f"{entity.name}.{invariant.name}"
        check = f"CHECK ({compiler.compile(invariant.condition)})"
        name = constraint_name(entity, invariant.name)
        found.append(Constraint(table, name, check, "invariant-violated", rule, invariant.message))
    found.extend(_unique(entity, unique, table) for unique in entity.uniques)
    for exclusion in entity.exclusions:
        found.extend(_exclusion(entity, exclusion, table))
    if entity.erasing:
        found.extend(_kept(table))
    for quota in entity.quotas:
        name, rule = constraint_name(entity, quota.name), f"{entity.name}.{quota.name}"
        found.append(Constraint(table, name, "", "invariant-violated", rule, quota.message or quota.name))
    return found


def _kept(table: str) -> Iterator[Constraint]:
    """What stands against an erasure; held by avow.forget_private."""
    message = "A legal hold keeps what is private about this person."
    yield Constraint(table, "avow_legal_hold", "", "erasure-held", "avow.legal_hold", message)
    message = "A private value about this person has to be kept for longer."
    yield Constraint(table, "avow_retention", "", "erasure-held", "private.keep", message)


def _states(entity: Entity, table: str) -> Constraint:
    listed = ", ".join(literal(state) for state in entity.states)
    name = constraint_name(entity, "state")
    # Met only by a server of an older declaration, which takes a transition to a state that was removed.
    message = f"{entity.name} no longer has the state that this leads to."
    return Constraint(
        table, name, f"CHECK (state IN ({listed}))", "state-conflict", f"{entity.name}.state", message
    )


def _bounds(entity: Entity, field: Field, table: str) -> Iterator[Constraint]:
    """The bounds of a field's type, also where the kernel has already checked them."""
    conditions = list(_bound_conditions(field.type, quote(field.name)))
    if conditions:
        name = constraint_name(entity, f"{field.name}_bounds")
        rule = f"{entity.name}.{field.name}"
        yield Constraint(
            table,
            name,
            f"CHECK ({' AND '.join(conditions)})",
            "invariant-violated",
            rule,
            f"{rule} is out of its bounds.",
        )


def _bound_conditions(kind: ValueType, column: str) -> Iterator[str]:
    match kind:
        case kinds.Integer(ge, le):
            yield f"{column} >= {sql_literal(-INTEGER_MAX if ge is None else ge)}"
            yield f"{column} <= {sql_literal(INTEGER_MAX if le is None else le)}"
        case kinds.DecimalType(ge=ge, le=le) | kinds.MoneyType(ge=ge, le=le):
            if ge is not None:
                yield f"{column} >= {sql_literal(ge)}"
            yield f"{column} <= {sql_literal(le)}" if le is not None else f"{column} <> 'NaN'"
        case kinds.Text(max_length, min_length):
            yield f"char_length({column}) BETWEEN {min_length} AND {max_length}"
        case kinds.SubjectType():
            yield f"char_length({column}) BETWEEN 1 AND {kinds.SUBJECT_LENGTH_MAX}"
        case kinds.DateType():
            yield f"{column} BETWEEN date '0001-01-01' AND date '9999-12-31'"
        case kinds.DateTimeType():
            yield f"{column} BETWEEN timestamptz '0001-01-02Z' AND timestamptz '9999-12-30Z'"
        case kinds.EnumType(values=values):
            yield f"{column} IN ({', '.join(literal(value) for value in values)})"
        case kinds.ListOf(max_items=max_items):
            measure = "jsonb_array_length" if sql_type(kind) == "jsonb" else "cardinality"
            yield f"{measure}({column}) <= {max_items}"
        case _:
            return


def _reference(system: System, entity: Entity, field: Field, table: str) -> Constraint:
    """Both sides start with the tenant: nobody can refer to a neighbour's record."""
    target = table_of(system, system.referred(entity, field.name))
    definition = f"FOREIGN KEY (tenant, {quote(field.name)}) REFERENCES {target} (tenant, id)"
    name = constraint_name(entity, f"{field.name}_reference")
    rule = f"{entity.name}.{field.name}"
    return Constraint(
        table, name, definition, "input-invalid", rule, f"{rule} must refer to a record that exists."
    )


def _where(states: tuple[str, ...], further: Sequence[str] = ()) -> str:
    listed = [f"state IN ({', '.join(literal(state) for state in states)})"] if states else []
    return f" WHERE ({' AND '.join([*listed, *further])})" if listed or further else ""


def _unique(entity: Entity, unique: Unique, table: str) -> Constraint:
    """A unique index, partial where only some states count. Missing values are equal to nothing."""
    blind = blind_columns(entity)
    listed = ", ".join(["tenant", *(quote(blind.get(name, name)) for name in unique.fields)])
    name = constraint_name(entity, unique.name)
    definition = f"CREATE UNIQUE INDEX {quote(name)} ON {table} ({listed}){_where(unique.states)}"
    fields = ", ".join(unique.fields)
    message = unique.message or f"{entity.name}: another record has the same {fields}."
    return Constraint(table, name, definition, "unique-violated", f"{entity.name}.{unique.name}", message)


_RANGES = {
    "bigint": "int8range",
    "date": "daterange",
    "timestamptz": "tstzrange",
    "uuid": "avow.uuidrange",
    "text": "avow.textrange",
}


def _exclusion(entity: Entity, exclusion: Exclusion, table: str) -> Iterator[Constraint]:
    """An exclusion; equality is written as the overlap of one-value ranges, which needs no extension.

    A missing value is equal to nothing; a missing start or end leaves the span open on that side.
    """
    rule = f"{entity.name}.{exclusion.name}"
    start, end = quote(exclusion.start), quote(exclusion.end)
    yield Constraint(
        table, constraint_name(entity, f"{exclusion.name}_span"), f"CHECK ({start} <= {end})",
        "invariant-violated", rule, f"{exclusion.start} must not lie after {exclusion.end}.",
    )  # fmt: skip
    parts = ["avow.textrange(tenant, tenant, '[]') WITH &&"]
    for field_name in exclusion.fields:
        kind, column = entity.fields[field_name].type, quote(field_name)
        made = _RANGES.get(sql_type(kind))
        if made is None:
            made, column = "avow.textrange", _as_text(kind, column)
        parts.append(f"{made}({column}, {column}, '[]') WITH &&")
    parts.append(f"{_RANGES[sql_type(entity.fields[exclusion.start].type)]}({start}, {end}, '[)') WITH &&")
    present = [f"{quote(name)} IS NOT NULL" for name in exclusion.fields if entity.fields[name].optional]
    definition = f"EXCLUDE USING gist ({', '.join(parts)}){_where(exclusion.states, present)}"
    name = constraint_name(entity, exclusion.name)
    message = exclusion.message or f"{entity.name}: it would overlap with another."
    yield Constraint(table, name, definition, "exclusion-violated", rule, message)


def _as_text(kind: ValueType, column: str) -> str:
    """A value that has no range of its own as text that doesn't depend on a session's settings."""
    if isinstance(kind, kinds.DurationType):
        column = f"extract(epoch FROM {column})"
    return f"({column}::text)"


def add_constraint(constraint: Constraint) -> str | None:
    """The statement that makes a constraint; None where there is nothing to make."""
    if not constraint.definition or constraint.definition.startswith("CREATE "):
        return constraint.definition or None
    return f"ALTER TABLE {constraint.table} ADD CONSTRAINT {quote(constraint.name)} {constraint.definition}"
