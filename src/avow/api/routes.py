"""Which requests there are: one table from the model, read by the server and by the OpenAPI document.

It must never compare loosely: no trailing slash, no upper-case id, no dot segments, no redirect. A
path is what its octets say; only percent-encoding is undone, once, inside each segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

from avow.api.percent import percent_decoded
from avow.api.reach import possible
from avow.engine.workers.owed import COMPENSATE, RETRY, SETTLE, SKIP
from avow.errors import PROBLEMS
from avow.model.entity import Entity, Transition
from avow.model.sender import Sender
from avow.model.system import System, asked_for_stuck, asks, publishes
from avow.model.tuples import made
from avow.store.driver import Id


class Operation(StrEnum):
    """What a route does."""

    LIST = "list"
    FIND = "find"
    READ = "read"
    HISTORY = "history"
    WHY = "why"
    RECEIPT = "receipt"
    CREATE = "create"
    COMMAND = "command"
    TASKS = "tasks"
    CLAIM = "claim"
    RELEASE = "release"
    DELEGATE = "delegate"
    FOLLOW_UP = "follow-up"
    OPENAPI = "openapi"
    EVENT = "event"
    SUBSCRIPTION = "subscription"
    OPERATE = "operate"
    DESTINATION = "destination"
    PROBLEM = "problem"
    HEALTH = "health"
    READY = "ready"


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One method on one path; each is itself alone, and so a key.

    template:    the path as OpenAPI writes it: `/enrollments/{id}/submit`.
    entity:      None for tasks, events, and the server's own pages.
    transitions: those that the command may mean, in declared order; empty unless it is a POST.
    """

    method: str
    template: str
    operation: Operation
    entity: Entity | None = None
    transitions: tuple[Transition, ...] = ()
    sender: Sender | None = None

    @property
    def transition(self) -> Transition:
        """The first transition of the command: its word and its arguments are those of all of them."""
        return self.transitions[0]


@dataclass(frozen=True, slots=True)
class Resource:
    """One path with its methods. `allow` is the value of the Allow header; HEAD and OPTIONS are in it."""

    template: str
    routes: Mapping[str, Route]
    allow: str


class Match(NamedTuple):
    """A path that exists in the table. `name` is the code of a problem page, `number` that of a work."""

    resource: Resource
    id: UUID | None = None
    name: str | None = None
    number: int | None = None

    def route(self, method: str) -> Route | None:
        """What the method does here (HEAD does what GET does); None where the answer is 405 or OPTIONS."""
        return self.resource.routes.get("GET" if method == "HEAD" else method)


METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST"})
"""Methods that some path has."""

_PAGES: Final = (
    ("/openapi.json", Operation.OPENAPI),
    ("/healthz", Operation.HEALTH),
    ("/readyz", Operation.READY),
)
_TASKS: Final = "/tasks"
TASK_ACTS: Final = (Operation.CLAIM, Operation.RELEASE, Operation.DELEGATE, Operation.FOLLOW_UP)
"""What can be done with a task other than doing it."""
_PROBLEM: Final = "/problems/{code}"
VERBS: Final = ("pause", "resume", "rotate", "replay", "delete")
"""What can be done with a subscription, each by a POST to its own address."""
_SUBSCRIPTIONS: Final = (
    Route("GET", "/subscriptions", Operation.SUBSCRIPTION),
    Route("POST", "/subscriptions", Operation.SUBSCRIPTION),
    Route("GET", "/subscriptions/{id}", Operation.SUBSCRIPTION),
    *(Route("POST", f"/subscriptions/{{id}}/{verb}", Operation.SUBSCRIPTION) for verb in VERBS),
)
_EFFECTS: Final = "/effects"
OPERATED: Final = (RETRY, SKIP, COMPENSATE)
"""What operators do about one work, or about all of a set."""
_OPERATED_ONE: Final = (
    Route("GET", f"{_EFFECTS}/{{work}}", Operation.OPERATE),
    *(Route("POST", f"{_EFFECTS}/{{work}}/{verb}", Operation.OPERATE) for verb in (*OPERATED, SETTLE)),
)
"""What is also done by whoever has the task of what is stuck."""
_OPERATED: Final = (
    Route("GET", _EFFECTS, Operation.OPERATE),
    Route("GET", f"{_EFFECTS}/preview", Operation.OPERATE),
    *(Route("POST", f"{_EFFECTS}/{verb}", Operation.OPERATE) for verb in OPERATED),
    *_OPERATED_ONE,
)
_PAUSED: Final = (
    Route("GET", "/destinations", Operation.DESTINATION),
    *(Route("POST", f"/destinations/{verb}", Operation.DESTINATION) for verb in ("pause", "resume")),
)
_WORK: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


class Routes:
    """All routes of a system, in a fixed order, and the way from a path to its resource."""

    def __init__(self, system: System) -> None:
        self._fixed: dict[str, Resource] = {}
        self._records: dict[str, Resource] = {}
        self._below: dict[tuple[str, str], Resource] = {}
        self._work: dict[str, Resource] = {}
        found: dict[str, list[Route]] = {}
        for route in _routes(system):
            found.setdefault(route.template, []).append(route)
        for template, routes in found.items():
            self._place(_resource(template, routes))
        problem = Route("GET", _PROBLEM, Operation.PROBLEM)
        self._problem = _resource(_PROBLEM, [problem])
        self._all = (*(route for routes in found.values() for route in routes), problem)

    def __iter__(self) -> Iterator[Route]:
        """Every route: resources in declared order, then the server's own pages."""
        return iter(self._all)

    def match(self, path: bytes | str) -> Match | None:
        """Find the resource of a raw path (as on the request line, without query); None is a 404.

        The path is relative to where the application is mounted and starts with a slash.
        """
        # Octets above 127 have no place in a path (RFC 3986); read as Latin-1 they match nothing.
        text = path if isinstance(path, str) else path.decode("latin-1")
        resource = self._fixed.get(text)
        if resource is not None:
            return Match(resource)
        segments = text.split("/")
        if "%" in text:
            decoded = [percent_decoded(segment.encode("latin-1", "replace")) for segment in segments]
            segments = [segment for segment in decoded if segment is not None]
            if len(segments) != len(decoded):
                return None
        return self._find(segments)

    def _find(self, segments: list[str]) -> Match | None:
        count = len(segments)
        if not 2 <= count <= 4 or segments[0]:
            return None
        if count >= 3 and _ID.fullmatch(segments[2]):
            if count == 3:
                resource = self._records.get(segments[1])
            else:
                resource = self._below.get((segments[1], segments[3]))
            return None if resource is None else made(Match, (resource, Id(segments[2]), None, None))
        if count >= 3 and segments[1] == _EFFECTS[1:] and _WORK.fullmatch(segments[2]):
            resource = self._work.get(segments[3] if count == 4 else "")
            return None if resource is None else Match(resource, number=int(segments[2]))
        if count == 3 and segments[1] == "problems" and segments[2] in PROBLEMS:
            return Match(self._problem, None, segments[2])
        # A fixed path gets here only if it was percent-encoded; templates were written by quote() too.
        resource = self._fixed.get("/".join(quote(segment, safe="") for segment in segments))
        return None if resource is None else Match(resource)

    def _place(self, resource: Resource) -> None:
        _, work, after = resource.template.partition("{work}")
        if work:
            self._work[after[1:]] = resource
            return
        if "{id}" not in resource.template:
            self._fixed[resource.template] = resource
            return
        entity = next(iter(resource.routes.values())).entity
        plural = resource.template.split("/")[1] if entity is None else entity.plural
        verb = resource.template.partition("{id}")[2]
        if not verb:
            self._records[plural] = resource
            return
        route = next(iter(resource.routes.values()))
        word = route.transition.command if route.transitions else verb[1:]
        self._below[plural, word] = resource


def record_path(entity: Entity, record_id: UUID) -> str:
    """Where a record is found: the value of Location, without the prefix of a mount."""
    return f"/{quote(entity.plural, safe='')}/{record_id}"


def is_public(transition: Transition) -> bool:
    """Whether somebody outside might be allowed to do it; if not, it has no route."""
    return possible(transition.by)


def _routes(system: System) -> Iterator[Route]:
    for entity in system.entities.values():
        yield from _routes_of(entity)
    if asks(system):
        yield Route("GET", _TASKS, Operation.TASKS)
        for act in TASK_ACTS:
            yield Route("POST", f"{_TASKS}/{{id}}/{act.value}", act)
    for sender in system.senders.values():
        yield Route("POST", f"/events/{sender.name}", Operation.EVENT, sender=sender)
    if publishes(system):
        yield from _SUBSCRIPTIONS
    if system.operators is not None:
        yield from _OPERATED
    elif asked_for_stuck(system):
        yield from _OPERATED_ONE
    if system.pausers is not None:
        yield from _PAUSED
    for template, operation in _PAGES:
        yield Route("GET", template, operation)


def _routes_of(entity: Entity) -> Iterator[Route]:
    many = f"/{quote(entity.plural, safe='')}"
    one = f"{many}/{{id}}"
    yield Route("GET", many, Operation.LIST, entity)
    commands = _public_commands(entity)
    creations = [transitions for transitions in commands if transitions[0].creation]
    for index, transitions in enumerate(creations):
        word = quote(transitions[0].command, safe="")
        template = many if index == 0 else f"{many}/{word}"
        yield Route("POST", template, Operation.CREATE, entity, transitions)
    if entity.searchable:
        yield Route("POST", f"{many}/find", Operation.FIND, entity)
    yield Route("GET", one, Operation.READ, entity)
    yield Route("GET", f"{one}/history", Operation.HISTORY, entity)
    yield Route("GET", f"{one}/why", Operation.WHY, entity)
    yield Route("GET", f"{one}/receipt", Operation.RECEIPT, entity)
    for transitions in commands:
        if not transitions[0].creation:
            word = quote(transitions[0].command, safe="")
            yield Route("POST", f"{one}/{word}", Operation.COMMAND, entity, transitions)


def _public_commands(entity: Entity) -> list[tuple[Transition, ...]]:
    """For each command that somebody outside might give, all transitions that it may mean."""
    words = dict.fromkeys(t.command for t in entity.transitions.values())
    commands = [entity.of_command(word) for word in words]
    return [transitions for transitions in commands if any(map(is_public, transitions))]


def _resource(template: str, routes: list[Route]) -> Resource:
    methods = {route.method: route for route in routes}
    allowed = [
        *(("GET", "HEAD") if "GET" in methods else ()),
        "OPTIONS",
        *(("POST",) if "POST" in methods else ()),
    ]
    return Resource(template, methods, ", ".join(allowed))
