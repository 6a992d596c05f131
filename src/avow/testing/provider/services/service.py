"""What the services have in common: a call in; what was done, or a refusal, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from avow.testing.provider.ledger import Deed

Json: TypeAlias = Any


class Refusal(Exception):
    """A definite no. Nothing was done."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one operation.

    id:  what the path names, where it does.
    key: its Idempotency-Key.
    """

    service: str
    operation: str
    id: str = ""
    body: Mapping[str, Json] = field(default_factory=dict[str, Json])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    key: str | None = None

    def same_as(self, other: Call) -> bool:
        """Whether both ask for the same."""
        asked = (self.operation, self.id, self.body)
        return asked == (other.operation, other.id, other.body)

    def text(self, name: str, default: str | None = None) -> str:
        """A member of the body that is text. Raises Refusal where it is missing or something else."""
        value = self.body.get(name, default)
        if not isinstance(value, str) or not (value or default == ""):
            raise Refusal(400, "invalid", f"`{name}` must be text.")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A member of the body that is a whole number above 0. Raises Refusal where it isn't."""
        value = self.body.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Refusal(400, "invalid", f"`{name}` must be a whole number above 0.")
        return value


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook will tell."""

    type: str
    data: Json


@dataclass(frozen=True, slots=True)
class Done:
    """How a call went well. deed: None where nothing was changed."""

    body: Json
    status: int = 200
    deed: Deed | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One operation and its address, in which `{id}` stands for one part."""

    method: str
    path: str
    operation: str
    run: Callable[[Call], Done]

    def match(self, method: str, path: str) -> str | None:
        """The id in the address ("" where it has none); None when the route is another."""
        parts, wanted = path.split("/"), self.path.split("/")
        if method != self.method or len(parts) != len(wanted):
            return None
        pairs = list(zip(parts, wanted, strict=True))
        if any(part != want for part, want in pairs if want != "{id}"):
            return None
        return next((part for part, want in pairs if want == "{id}"), "")


class Ids:
    """Ids that never meet those of another run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._counts: Counter[str] = Counter()

    def next(self, kind: str) -> str:
        """The next id of a kind."""
        self._counts[kind] += 1
        return f"{kind}_{self._run}_{self._counts[kind]}"


class Service:
    """One outside service. Its routes are all that it can be asked for.

    results: when it says how something ended that takes its time: `webhook` (right behind the answer),
             `at_once` (in the answer), or `told` (when a test settles it).
    """

    name: ClassVar[str]

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self.results = "told"

    @property
    def routes(self) -> Sequence[Route]:
        """Its operations."""
        raise NotImplementedError

    def settle(self, reference: str, result: str | None) -> Done:
        """Bring what is still open for a reference to its end. Raises Refusal where nothing is."""
        raise Refusal(404, "nothing_open", f"Nothing at {self.name} waits for a result.")


def found(things: Mapping[str, Json], wanted: str) -> Json:
    """The thing with this id. Raises Refusal where there is none."""
    if wanted not in things:
        raise Refusal(404, "not_found", f"There is no `{wanted}`.")
    return things[wanted]


def open_one(things: Mapping[str, Json], reference: str, status: str) -> Json:
    """The first thing of a reference that is still in this status. Raises Refusal where none is."""
    for thing in things.values():
        if thing["reference"] == reference and thing["status"] == status:
            return thing
    raise Refusal(404, "nothing_open", f"Nothing of `{reference}` is {status}.")


def of_reference(things: Mapping[str, Json], call: Call) -> Done:
    """The things whose reference the query names, oldest first."""
    reference = call.query.get("reference", "")
    return Done({"items": [dict(thing) for thing in things.values() if thing["reference"] == reference]})
