"""From the model to the functions of the database: those that lock, write and check records, and the one that
commits. Text only; nothing runs here.
"""

from __future__ import annotations

from collections.abc import Sequence

from avow.model.entity import Entity, Field, Quota
from avow.model.expression import Const
from avow.model.system import System, asked_for_stuck, listening, published_types
from avow.model.trigger import EVENTS
from avow.model.types import ValueType
from avow.store.canonical_columns import canonical_column, is_json
from avow.store.columns import blind_columns, from_json, performers_column
from avow.store.conditions import Compiler
from avow.store.queue import DELIVERIES
from avow.store.retention import KEY_RETENTION_DAYS
from avow.store.schema.tables import Roles, constraint_name, sql_constant, table_of
from avow.store.statements import literal, named, quote, whole

SHARED_LOCK_WAIT_MS = 50
"""How long commands that are committed together wait for a lock; each of them waits longer by itself."""


def functions(system: System) -> list[str]:
    """The functions that lock, write and check the records of all entities, and the one that commits."""
    entities = sorted(system.entities.values(), key=lambda entity: entity.name)
    heard = listening(system)
    matched = sorted({f"{entity.name}/{event.match}" for entity, event in heard if event.match})
    parts = named("entity.sql")
    lock = "\n".join(_branch(system, e, "lock_branch") for e in entities)
    apply = "\n".join(_apply_branch(system, e) for e in entities)
    quotas = "\n".join(_quota_branches(system, e, q) for e in entities for q in e.quotas)
    return [
        parts["lock_versions"].substitute(branches=lock),
        parts["apply_entries"].substitute(branches=apply),
        parts["demand_quotas"].substitute(branches=quotas),
        whole("work.sql").substitute(Roles.of(system).quoted()),
        whole("task.sql").substitute(Roles.of(system).quoted()),
        whole("events.sql").substitute(
            Roles.of(system).quoted(), events=literal(EVENTS), matched=", ".join(map(literal, matched))
        ),
        whole("subscriptions.sql").substitute(
            Roles.of(system).quoted(), published=", ".join(map(literal, published_types(system)))
        ),
        whole("operate.sql").substitute(
            Roles.of(system).quoted(),
            events=literal(EVENTS),
            deliveries=literal(DELIVERIES),
            operators=str(system.operators is not None),
            seeing_to_one=str(system.operators is not None or bool(asked_for_stuck(system))),
            pausers=str(system.pausers is not None),
        ),
        _private_functions(system, entities),
        _commit_functions(system, entities),
        whole("retention.sql").substitute(Roles.of(system).quoted(), days=KEY_RETENTION_DAYS),
        whole("log.sql").substitute(Roles.of(system).quoted()),
        whole("drop.sql").substitute(Roles.of(system).quoted()),
    ]


def _commit_functions(system: System, entities: Sequence[Entity]) -> str:
    """The function that commits, with what judges and appends entries: one that is alone, and many."""
    parts, name = named("entity.sql"), literal(system.name)
    demanding = {
        "counted": {
            n for e in entities for q in e.quotas for n in (e.name, system.referred(e, q.anchor).name)
        },
        "publishing": {e.name for e in entities if e.publications},
        "hearing": {e.name for e, _ in listening(system)},
        "private": {e.name for e in entities if e.private},
        "erasing": {e.name for e in entities if e.erasing},
    }
    demanding["more"] = set[str]().union(*demanding.values())
    return whole("commit.sql").substitute(
        Roles.of(system).quoted(),
        **{which: ", ".join(map(literal, sorted(names))) for which, names in demanding.items()},
        lock_wait_ms=SHARED_LOCK_WAIT_MS,
        edge=parts["edge"].substitute(entry="lone"),
        sound=parts["sound"].substitute(entry="lone", header="p_headers[1]", name=name),
        edge_of_many=parts["edge"].substitute(entry="entry"),
        sound_of_many=parts["sound"].substitute(entry="entry", header="header", name=name),
    )


def _private_functions(system: System, entities: Sequence[Entity]) -> str:
    """What keeps private values, and what erases them."""
    parts = named("entity.sql")
    forgotten = [
        parts["forget_branch"].substitute(
            table=table_of(system, entity),
            kind=literal(entity.name),
            field=literal(field),
            column=quote(field),
            blind=quote(blind),
        )
        for entity in entities
        for field, blind in blind_columns(entity).items()
    ]
    erasing = [
        parts["erase_branch"].substitute(
            table=table_of(system, entity),
            kind=literal(entity.name),
            transition=literal(t.name),
            person=quote(t.erases or ""),
        )
        for entity in entities
        for t in entity.erasing
    ]
    return whole("private.sql").substitute(
        Roles.of(system).quoted(),
        private=", ".join(literal(f"{e.name}/{field}") for e in entities for field in e.private),
        branches="\n".join(forgotten),
        erasing="\n".join(erasing),
    )


def _branch(system: System, entity: Entity, part: str) -> str:
    return named("entity.sql")[part].substitute(table=table_of(system, entity), kind=literal(entity.name))


def _apply_branch(system: System, entity: Entity) -> str:
    names, inserted, updated, same = list[str](), list[str](), list[str](), list[str]()
    for field in entity.fields.values():
        column, key = quote(field.name), literal(field.name)
        value = from_json(field.type, "g.changes", field.name)
        missing = _value_of_old_creations(field)
        names.append(column)
        given = f"CASE WHEN g.changes ? {key} THEN {value} ELSE {missing} END"
        inserted.append(value if missing is None else given)
        updated.append(f"{column} = CASE WHEN g.changes ? {key} THEN {value} ELSE r.{column} END")
        same.append(_same(f"g.changes -> {key}", _as_stated(field.type, f"r.{column}")))
    for transition in entity.tracked:
        column, key = quote(performers_column(transition)), literal(transition)
        listed = named("entity.sql")["performers"].substitute(key=key)
        names.append(column)
        inserted.append(f"CASE WHEN g.performers ? {key} THEN {listed} END")
        updated.append(f"{column} = CASE WHEN g.performers ? {key} THEN {listed} ELSE r.{column} END")
        same.append(_same(f"g.performers -> {key}", f"to_jsonb(r.{column})"))
    for field, column in blind_columns(entity).items():
        key, kept = literal(field), named("entity.sql")["blind_of"]
        value = kept.substitute(kind=literal(entity.name), field=key)
        names.append(quote(column))
        inserted.append(value)
        updated.append(
            f"{quote(column)} = CASE WHEN g.changes ? {key} THEN {value} ELSE r.{quote(column)} END"
        )
    parts, kind = named("entity.sql"), literal(entity.name)
    given = parts["given"].substitute()
    return parts["apply_branch"].substitute(
        table=table_of(system, entity),
        kind=kind,
        given=given,
        changes=parts["given_of"].substitute(given=given, kind=kind, source="<>"),
        creations=parts["given_of"].substitute(given=given, kind=kind, source="="),
        changed=parts["changed"].substitute(
            updated="".join(f",\n                    {value}" for value in updated)
        ),
        follows=parts["follows"].substitute(),
        declared=parts["declared"].substitute(
            known=", ".join(map(literal, entity.fields)), tracked=", ".join(map(literal, entity.tracked))
        ),
        names="".join(f", {name}" for name in names),
        inserted="".join(f",\n                       {value}" for value in inserted),
        same=" AND ".join(same) or "true",
    )


def _same(stated: str, held: str) -> str:
    """Whether a column holds what the entry states, in the same form; true where it states nothing."""
    return f"({stated} IS NULL OR {stated} = coalesce({held}, 'null'))"


def _as_stated(kind: ValueType, column: str) -> str:
    """A column in the JSON form that entries have its value in."""
    stated = canonical_column(kind, column)
    return f"({stated})::jsonb" if is_json(kind) else f"to_jsonb({stated})"


def _value_of_old_creations(field: Field) -> str | None:
    """What a record gets that is created by a server whose declaration doesn't know the field yet.

    The same that existing records got when the field was added; None: no value.
    """
    if field.optional or not isinstance(field.default, Const) or field.default.value is None:
        return None
    return sql_constant(field.type, field.default.value)


def _quota_branches(system: System, entity: Entity, quota: Quota) -> str:
    values, parts = _quota_parts(system, entity, quota), named("entity.sql")
    return f"{parts['quota_of_counted'].substitute(values)}\n{parts['quota_of_anchor'].substitute(values)}"


def quota_broken(system: System, entity: Entity, quota: Quota) -> str:
    """The query that tells whether existing records exceed a quota."""
    return named("entity.sql")["quota_broken"].substitute(_quota_parts(system, entity, quota))


def _quota_parts(system: System, entity: Entity, quota: Quota) -> dict[str, str]:
    anchor = system.referred(entity, quota.anchor)
    return {
        "kind": literal(entity.name),
        "anchor_kind": literal(anchor.name),
        "table": table_of(system, entity),
        "anchor_table": table_of(system, anchor),
        "reference": quote(quota.anchor),
        "states": f"ARRAY[{', '.join(literal(state) for state in quota.states)}]",
        "limit": Compiler(system, anchor, "a").compile(quota.limit),
        "measure": "count(*)" if quota.weight is None else f"sum(c.{quote(quota.weight)})",
        "constraint": literal(constraint_name(entity, quota.name)),
    }
