"""What a request asks for: body objects and query strings in, typed values out, or a problem.

It must never coerce, guess or drop: what isn't declared is refused by name, every flaw of an input is
reported at once (up to a bound), and no value is ever repeated in an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from avow.api.percent import percent_decoded
from avow.canonical import INTEGER_MAX, JsonValue
from avow.errors import ProblemError, reject
from avow.model import types as kinds
from avow.model.entity import Entity, Field, Transition
from avow.model.private import Cleartext, PrivateType
from avow.model.types import Flaw, Member, Misfit, Value, ValueType, parse_members

FLAWS_MAX: Final = 50
QUERY_PARAMETERS_MAX: Final = 64
PAGE_LIMIT_DEFAULT: Final = 50
PAGE_LIMIT_MAX: Final = 200
FILTER_TEXT_LENGTH_MAX: Final = 500

CREDENTIAL_NAMES: Final = frozenset(
    {
        "access_token", "api_key", "api_token", "apikey", "auth", "auth_token", "authorization", "bearer",
        "client_secret", "id_token", "jwt", "passwd", "password", "refresh_token", "secret", "token",
        "x_api_key",
    }
)  # fmt: skip
"""Names of query parameters that carry credentials, in lower case with `_` for `-` and `.`."""

_PLAIN: Final = (
    kinds.SubjectType, kinds.Integer, kinds.Boolean, kinds.EnumType, kinds.UuidType, kinds.Reference,
    kinds.DateType, kinds.DateTimeType, kinds.DecimalType,
)  # fmt: skip
_PAGING: Final = ("limit", "cursor")
WORK_FILTERS: Final = ("entity", "destination", "state", "stuck")
"""What narrows down what happens by itself."""
_WORK_FILTER: Final = kinds.Text(255, 1)
_LIST_WORDS: Final = frozenset({*_PAGING, "state", "as_of"})
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})", re.ASCII)
_COUNT: Final = re.compile(r"[1-9][0-9]*", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: at most `limit` items, from `cursor` on (None: the start).

    cursor: as it was sent; whoever opens it refuses one that isn't ours.
    """

    limit: int = PAGE_LIMIT_DEFAULT
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list is asked for: records in `state` (None: any) whose fields equal `filters`, as of a time or
    now."""

    page: Page
    state: str | None
    filters: Mapping[str, Value]
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class WhyQuery:
    """Whose provenance is asked for: one field (None: all of them), at one time (None: now).

    as_of: from what could be known at a time; None: from all that is known now.
    """

    field: str | None
    at: datetime | None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiptQuery:
    """Which receipt is asked for: of what claim, by which version (None: the newest that makes it true)."""

    claim: str
    version: int | None


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks are asked for: of one role or entity (None: any), only one's own, only overdue ones."""

    page: Page
    role: str | None
    entity: str | None
    mine: bool
    overdue: bool


@dataclass(frozen=True, slots=True)
class WorkQuery:
    """Which work is asked for: to a destination, of an entity, in a state, stuck for a reason; None: any."""

    page: Page
    given: Mapping[str, str]


class InputReader:
    """Reads the arguments of one command's transitions from JSON values that `json_text` gave."""

    def __init__(self, transition: Transition) -> None:
        self._members = tuple(Member(p.name, p.type, p.optional) for p in transition.parameters)
        self._defaults = {p.name: p.default for p in transition.parameters if p.default is not None}

    def read(self, body: Any) -> dict[str, Value]:
        """The arguments that have a value. Absent and null are the same: the default, where there is one.

        Raises `input-invalid` with every flaw.
        """
        values = read_members(self._members, body)
        return {**self._defaults, **values} if self._defaults else values


def input_invalid(flaws: Iterable[Flaw]) -> ProblemError:
    """The problem for flaws of a body: the first 50, and how many more there are."""
    errors = [{"pointer": flaw.pointer, "code": flaw.code, "detail": flaw.detail} for flaw in flaws]
    return _invalid(errors, "The body does not fit the declaration.")


def read_command_query(raw: bytes) -> bool:
    """Read the query of a command: whether it is a dry run."""
    if not raw:
        return False
    values, flaws = _read_query(raw, ("dry_run",))
    text = values.get("dry_run", "false")
    if text not in _BOOLEANS:
        flaws.append(Flaw("dry_run", "not-a-boolean", "must be true or false"))
    _demand_flawless(flaws)
    return _BOOLEANS[text]


def read_list_query(entity: Entity, raw: bytes) -> ListQuery:
    """Read the query of a list: page, state, and one equality filter for each field that can have one."""
    fields = filters_of(entity)
    values, flaws = _read_query(raw, {*_LIST_WORDS, *fields})
    page = _read_page(values, flaws)
    state = values.get("state")
    if state is not None and state not in entity.states:
        flaws.append(Flaw("state", "not-an-option", f"must be one of {', '.join(entity.states)}"))
    filters: dict[str, Value] = {}
    for name, field in fields.items():
        if name in values:
            try:
                filters[name] = _read_scalar(field.type, values[name], name)
            except Misfit as misfit:
                flaws.extend(misfit.flaws)
    as_of = _read_instant(values, "as_of", flaws)
    _demand_flawless(flaws)
    return ListQuery(page, state, filters, as_of)


def read_history_query(raw: bytes) -> tuple[Page, datetime | None]:
    """Read the query of a history: which page of it, and as of which time (None: now)."""
    values, flaws = _read_query(raw, (*_PAGING, "as_of"))
    page, as_of = _read_page(values, flaws), _read_instant(values, "as_of", flaws)
    _demand_flawless(flaws)
    return page, as_of


def read_record_query(raw: bytes) -> datetime | None:
    """Read the query of a record: as of which time it is asked for; None: now."""
    if not raw:
        return None
    values, flaws = _read_query(raw, ("as_of",))
    as_of = _read_instant(values, "as_of", flaws)
    _demand_flawless(flaws)
    return as_of


def read_task_query(entities: Collection[str], raw: bytes) -> TaskQuery:
    """Read the query of the inbox: page, role, entity, and whether only one's own or overdue tasks."""
    values, flaws = _read_query(raw, (*_PAGING, "role", "entity", "mine", "overdue"))
    page = _read_page(values, flaws)
    entity = values.get("entity")
    if entity is not None and entity not in entities:
        flaws.append(Flaw("entity", "not-an-option", f"must be one of {', '.join(entities)}"))
    wanted: dict[str, bool] = {}
    for name in ("mine", "overdue"):
        text = values.get(name, "false")
        if text not in _BOOLEANS:
            flaws.append(Flaw(name, "not-a-boolean", "must be true or false"))
        wanted[name] = _BOOLEANS.get(text, False)
    _demand_flawless(flaws)
    return TaskQuery(page, values.get("role"), entity, wanted["mine"], wanted["overdue"])


def read_work_query(entities: Collection[str], states: Collection[str], raw: bytes) -> WorkQuery:
    """Read the query of what happens by itself: page and filter."""
    values, flaws = _read_query(raw, (*_PAGING, *WORK_FILTERS))
    page = _read_page(values, flaws)
    for name, options in (("entity", entities), ("state", states)):
        if name in values and values[name] not in options:
            flaws.append(Flaw(name, "not-an-option", f"must be one of {', '.join(options)}"))
    for name in ("destination", "stuck"):
        try:
            _WORK_FILTER.parse(values.get(name, "any"), name)
        except Misfit as misfit:
            flaws.extend(misfit.flaws)
    _demand_flawless(flaws)
    return WorkQuery(page, {name: values[name] for name in WORK_FILTERS if name in values})


def read_members(members: tuple[Member, ...], body: Any) -> dict[str, Value]:
    """The members of a body, typed. Raises `input-invalid` with every flaw."""
    if not isinstance(body, dict):
        raise input_invalid([Flaw("#", "not-an-object", "must be a JSON object of the arguments")])
    values, flaws = parse_members(members, body, "#")  # pyright: ignore[reportUnknownArgumentType]
    if flaws:
        raise input_invalid(flaws)
    return values


def read_private(entity: Entity, body: Any) -> dict[str, JsonValue]:
    """The private values that records are to be found by, as plain JSON. Raises `input-invalid`."""
    kinds_of = {name: entity.fields[name].type for name in entity.searchable}
    members = tuple(Member(name, kind, optional=True) for name, kind in kinds_of.items())
    given = read_members(members, body)
    found: dict[str, JsonValue] = {}
    for name, held in given.items():
        kind = kinds_of[name]
        if isinstance(kind, PrivateType) and isinstance(held, Cleartext):
            found[name] = kind.inner.dump(held.value)
    if not found:
        raise input_invalid([Flaw("#", "missing", "must name a private field that can be searched")])
    return found


def read_why_query(entity: Entity, raw: bytes) -> WhyQuery:
    """Read the query of `why`: which field, at which time."""
    values, flaws = _read_query(raw, ("field", "at", "as_of"))
    field = values.get("field")
    if field is not None and field not in entity.fields:
        flaws.append(Flaw("field", "unknown", "is not a field of this entity"))
    at, as_of = (_read_instant(values, name, flaws) for name in ("at", "as_of"))
    _demand_flawless(flaws)
    return WhyQuery(field, at, as_of)


def _read_instant(values: Mapping[str, str], name: str, flaws: list[Flaw]) -> datetime | None:
    if name not in values:
        return None
    try:
        return kinds.DateTimeType().parse(values[name], name)
    except Misfit as misfit:
        flaws.extend(misfit.flaws)
    return None


def read_receipt_query(raw: bytes) -> ReceiptQuery:
    """Read the query of `receipt`: the claim, and perhaps a version."""
    values, flaws = _read_query(raw, ("claim", "version"))
    claim, text, version = values.get("claim"), values.get("version"), None
    if claim is None:
        flaws.append(Flaw("claim", "missing", "is required"))
    if text is not None and _COUNT.fullmatch(text) and len(text) < 17 and int(text) <= INTEGER_MAX:
        version = int(text)
    elif text is not None:
        flaws.append(Flaw("version", "not-a-count", "must be a number from 1 to 2^53 - 1"))
    _demand_flawless(flaws)
    return ReceiptQuery(claim or "", version)


def demand_no_query(raw: bytes) -> None:
    """Refuse every query parameter, on paths that take none."""
    if raw:
        _demand_flawless(_read_query(raw, ())[1])


def filters_of(entity: Entity) -> dict[str, Field]:
    """The fields that a list can be filtered by: plain values; long text, lists and objects are left out.

    A field called `limit`, `cursor` or `state` can't be filtered by: the word is the list's own.
    """
    return {f.name: f for f in entity.fields.values() if f.name not in _LIST_WORDS and _is_plain(f.type)}


def _is_plain(kind: ValueType) -> bool:
    if isinstance(kind, kinds.Text):
        return kind.max_length <= FILTER_TEXT_LENGTH_MAX
    return isinstance(kind, _PLAIN)


def _read_scalar(kind: ValueType, text: str, at: str) -> Value:
    if isinstance(kind, kinds.Integer):
        return kind.parse(int(text) if _INTEGER.fullmatch(text) else text, at)
    if isinstance(kind, kinds.Boolean):
        return kind.parse(_BOOLEANS.get(text, text), at)
    return kind.parse(text, at)


def _read_page(values: Mapping[str, str], flaws: list[Flaw]) -> Page:
    text, cursor = values.get("limit"), values.get("cursor")
    limit = PAGE_LIMIT_DEFAULT
    if text is not None and _COUNT.fullmatch(text):
        # However many digits: more than three are more than the largest page.
        limit = PAGE_LIMIT_MAX if len(text) > 3 else min(int(text), PAGE_LIMIT_MAX)
    elif text is not None:
        flaws.append(
            Flaw("limit", "not-a-count", f"must be a number from 1; at most {PAGE_LIMIT_MAX} items are given")
        )
    return Page(limit, cursor)


def _read_query(raw: bytes, known: Collection[str]) -> tuple[dict[str, str], list[Flaw]]:
    """Split a query string (form encoding: `+` is a space) into parameters that stand once and are known.

    Raises `bad-request` for what can't be decoded and for more than 64 parameters, and
    `credential-in-query` before anything else is said about the request.
    """
    values: dict[str, str] = {}
    flaws: list[Flaw] = []
    if not raw:
        return values, flaws
    pieces = raw.split(b"&")
    names = [_decode(piece.partition(b"=")[0]) for piece in pieces]
    if any(_is_credential(name) and name not in known for name in names):
        raise reject("credential-in-query")
    if len(pieces) > QUERY_PARAMETERS_MAX:
        raise reject("bad-request", f"The query has more than {QUERY_PARAMETERS_MAX} parameters.")
    for name, piece in zip(names, pieces, strict=True):
        text = _decode(piece.partition(b"=")[2])
        if name is None or text is None:
            raise reject("bad-request", "The query string is not percent-encoded UTF-8.")
        if name not in known:
            flaws.append(Flaw(_shown(name), "unknown", "is not a parameter here"))
        elif name in values:
            flaws.append(Flaw(name, "twice", "stands more than once"))
        else:
            values[name] = text
    return values, flaws


def _is_credential(name: str | None) -> bool:
    if name is None:
        return False
    return name.casefold().replace("-", "_").replace(".", "_") in CREDENTIAL_NAMES


def _decode(piece: bytes) -> str | None:
    return percent_decoded(piece.replace(b"+", b" ")) if piece.isascii() else None


def _shown(name: str) -> str:
    """A hostile parameter name as it may stand in an error: printable ASCII, at most 40 characters."""
    return "".join(character if " " <= character < "\x7f" else "?" for character in name[:40])


def _demand_flawless(flaws: list[Flaw]) -> None:
    if flaws:
        errors = [{"parameter": f.pointer, "in": "query", "code": f.code, "detail": f.detail} for f in flaws]
        raise _invalid(errors, "The query does not fit this address.")


def _invalid(errors: list[dict[str, str]], detail: str) -> ProblemError:
    omitted = len(errors) - FLAWS_MAX
    more = {"errors_omitted": omitted} if omitted > 0 else {}
    return reject("input-invalid", detail, errors=errors[:FLAWS_MAX], **more)
