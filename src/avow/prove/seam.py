"""The seam between an owner's function and the outside: real HTTP to a simulated provider, failing there.

What the function sends, under which key, what of it was carried out, and what the function made of that, is
noted for each call. Nothing else leaves: a URL of another host isn't called.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from traceback import extract_tb
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast
from uuid import UUID

from avow.engine.outside import (
    READING,
    BlockingHttp,
    Destination,
    Http,
    Outside,
    Response,
    demand_outcome,
    what_it_means,
)
from avow.engine.outside.destination import origin_of
from avow.engine.workers.calls import Call
from avow.errors import EnvironmentFault
from avow.model.effect import Effect
from avow.model.outcome import Declined, NotDone, Unclear
from avow.model.system import System
from avow.model.types import Misfit
from avow.prove.outside import Attempt, Carried, Exchange
from avow.store.queue import Work

WireFault: TypeAlias = Literal[
    "not-reached",
    "cut-before-work",
    "reply-lost",
    "sent-twice",
    "server-error",
    "refused",
    "refused-unseen",
    "never-arrives",
    "long-silence",
]
WIRE_FAULTS: Final[tuple[WireFault, ...]] = (
    "refused", "reply-lost", "refused-unseen", "never-arrives", "long-silence", "cut-before-work",
    "server-error", "sent-twice", "not-reached",
)  # fmt: skip
NOES: Final = frozenset[WireFault](("refused", "refused-unseen"))
"""The faults by which the other side definitely won't."""
LASTING: Final = frozenset[WireFault](("refused-unseen", "never-arrives", "long-silence"))
"""The faults that go on until a call is looked up, where it is in the end."""
REFUSAL: Final = b'{"code": "declined", "detail": "The other side will not."}'
SIMULATOR: Final = "avow.testing.provider"
UNOFFERED: Final = "no_such_operation"
"""The code with which the simulated outside refuses what it doesn't offer."""
CALL_S: Final = 20.0
FUNCTION_S_MAX: Final = 5.0
"""How long a function may take here, where all that it calls is on this machine."""


@dataclass(slots=True)
class Sent:
    """One request of a function that writes. carried: it was carried out, and for the first time.

    refused: the code with which the other side has refused it, and what it said. told: the id under which it
    knows what it did. first: the record for which it had done the same before, under the same key.
    of_nothing: it asks for an amount of 0.
    """

    method: str
    path: str
    key: str
    digest: str
    carried: bool = False
    answered: bool = False
    refused: tuple[str, str] = ("", "")
    told: str = ""
    first: UUID | None = None
    of_nothing: bool = False


@dataclass(slots=True)
class Hold:
    """What another side holds for whoever asked for it, until it is taken or let go.

    of: an amount of money, or pieces in stock; those are taken by whatever is captured or shipped.
    """

    of: Literal["money", "pieces"]
    reference: str
    amount: int
    effect: Effect


@dataclass(slots=True)
class Made:
    """One call in all its attempts. ended: how its function ended last: done, declined, or left open.

    looked: how often it only asked for something.
    """

    effect: Effect
    work: Work
    state: str = ""
    undoes: str | None = None
    ended: Literal["", "done", "declined", "open"] = ""
    said: str = ""
    sent: list[Sent] = field(default_factory=list[Sent])
    looked: int = 0


def is_looked_up(effect: Effect) -> bool:
    """Whether a call is looked up at last, where it gets no answer."""
    return effect.lookup is not None and effect.retry.attempts is not None


class Seam:
    """Where calls of functions pass. faults: what goes wrong with the first writing request of an attempt.

    pending: what the other side has taken on and not done yet, by reference: its id, and what it holds then.
    """

    def __init__(self, simulated: Simulated, exchange: Exchange) -> None:
        self._destination = Destination("simulated", simulated.url, allow_private=True)
        self._control = Destination("control", simulated.control, allow_private=True)
        self._exchange = exchange
        self._outside = Outside()
        self.faults = dict[Attempt, WireFault]()
        self.attempts = Counter[str]()
        self.asked = list[Attempt]()
        self.calls = dict[str, Made]()
        self.holds, self.pending = dict[str, Hold](), dict[str, tuple[str, Hold]]()
        self.done_for = dict[str, UUID]()
        """For which record something was done first under each key."""
        self.untold = set[tuple[str, str]]()
        """The events of which the other side has nothing to tell, by entity and command."""
        self.elsewhere = set[str]()
        """The effects whose functions called another address than that of their destination."""
        self.unoffered = set[str]()
        """The effects whose functions ask for what the other side doesn't offer."""
        self.odd = dict[str, str]()
        """How the functions of effects end where nothing goes wrong, and none should."""
        self._begun = dict[str, float]()
        self._endless = set[str]()

    async def start(self) -> None:
        """Begin another execution, with another side that knows of none before. It comes to no result of its
        own accord: what it takes on can be called off.
        """
        self.faults, self.attempts, self.asked, self.calls = {}, Counter[str](), [], {}
        self.holds, self.pending, self.done_for = {}, {}, {}
        await self._outside.aclose()  # beginning anew cuts every connection
        await self._rule().post("/reset", json={})
        await self._rule().put("/service", json={"service": "identity", "results": "told"})

    async def settle(self, reference: str, event: str) -> bool:
        """Let the other side do what an event tells of a record; whether there was anything to do."""
        if reference not in self.pending:
            return False
        payment, hold = self.pending.pop(reference)
        result = event.rpartition(".")[2]
        asked = {"service": "payment", "reference": reference, "result": result}
        done = await self._rule().post("/settle", json=asked)
        if done.ok and _said(done).get("body", _said(done)).get("status") == "authorized":
            self.holds[payment] = hold
        return done.ok

    def _rule(self) -> Http:
        return Http(self._outside, self._control, "", time.monotonic() + CALL_S, None)

    async def refuse_next(self) -> None:
        """Let the other side refuse what arrives next."""
        script = [{"kind": "fail_before", "status": 402}]
        await self._rule().put("/behaviour", json={"script": script})

    async def aclose(self) -> None:
        """Close every connection."""
        await self._outside.aclose()

    # --- in the place of what a server would use ---------------------------------------------------

    def open(self, effect: Effect, function: Callable[..., Any], work: Work, key: str) -> Any:
        """The client for one run of a function."""
        made = self.calls.setdefault(key, Made(effect, work))
        attempt = None
        if function is not effect.lookup:
            attempt = effect.name, self.attempts[effect.name]
            self.attempts[effect.name] += 1
            self.asked.append(attempt)
        fault = None if attempt is None else self._fault_of(effect, attempt)
        http = _Http(self._outside, self._destination, key, time.monotonic() + CALL_S, self, made, fault)
        if inspect.iscoroutinefunction(function):
            return http
        return BlockingHttp(http, asyncio.get_running_loop())

    def _fault_of(self, effect: Effect, attempt: Attempt) -> WireFault | None:
        first = self.faults.get((effect.name, 0))
        return first if first in LASTING and is_looked_up(effect) else self.faults.get(attempt)

    def connected(self, system: System) -> System:
        """The same declaration; how its functions end is noted."""
        entities = {
            name: replace(entity, effects={e.name: self._noted(e) for e in entity.effects.values()})
            for name, entity in system.entities.items()
        }
        return replace(system, entities=entities)

    def _noted(self, effect: Effect) -> Effect:
        lookup = None if effect.lookup is None else self._noting(effect.lookup, may_find_nothing=True)
        return replace(effect, function=self._noting(effect.function), lookup=lookup)

    def _noting(self, function: Callable[..., Any], may_find_nothing: bool = False) -> Callable[..., Any]:
        """The function; how it ends is noted. may_find_nothing: None means that nothing was done."""
        if inspect.iscoroutinefunction(function):

            async def made(record: Any, call: Call) -> Any:
                with self._ending(record, call) as ending:
                    async with asyncio.timeout(FUNCTION_S_MAX):
                        value = await function(record, call)
                    ending.take(value, may_find_nothing)
                    return value

            return made

        def made_here(record: Any, call: Call) -> Any:
            with self._ending(record, call) as ending:
                ending.take(value := function(record, call), may_find_nothing)
                return value

        return made_here

    def _ending(self, record: Any, call: Call) -> _Ending:
        made = self.calls[call.key]
        made.state, made.undoes = record.state, call.undoes
        return _Ending(made, call.key, self._exchange, self)

    # --- functions that end as none should ---------------------------------------------------------

    def began(self, effect: Effect) -> None:
        """A function begins. Raises Unclear for one that took too long before: it would only take time."""
        name = effect.name
        if name in self._begun:
            self._note_time(effect)
        if name in self._endless:
            raise Unclear("it doesn't come to its end")
        self._begun[name] = time.monotonic()

    def ended(self, effect: Effect, said: str) -> None:
        """One has ended. said: how, where none should end so; empty: as any may."""
        self._note_time(effect)
        self._begun.pop(effect.name, None)
        if said and not self.faults:
            self.odd.setdefault(effect.name, said)

    def _note_time(self, effect: Effect) -> None:
        limit_s = min(effect.timeout_s, FUNCTION_S_MAX)
        if time.monotonic() - self._begun.get(effect.name, math.inf) >= limit_s:
            self._endless.add(effect.name)
            self.odd.setdefault(effect.name, f"it doesn't come to its end within {limit_s:g} s")


class _Ending:
    """Notes how a function ends; what it then says was done counts as done outside."""

    def __init__(self, made: Made, key: str, exchange: Exchange, seam: Seam) -> None:
        self._made, self._key, self._exchange, self._seam = made, key, exchange, seam
        self._before = len(made.sent)
        self.nothing, self._unfit = False, ""

    def __enter__(self) -> _Ending:
        self._seam.began(self._made.effect)
        return self

    def take(self, value: Any, may_find_nothing: bool) -> None:
        """What the function has returned."""
        self.nothing = may_find_nothing and value is None
        result = self._made.effect.result
        if result is not None and not self.nothing:
            try:
                result.fit(value, "#")
            except Misfit as misfit:
                self._unfit = f"its result doesn't fit the declaration: {misfit}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        made = self._made
        self._seam.ended(made.effect, self._unfit if error is None else _unexpected(error))
        if self.nothing:
            made.ended = "open"
            return
        made.ended = "done" if kind is None else "declined" if issubclass(kind, Declined) else "open"
        made.said = "" if kind is None else kind.__name__
        now = made.sent[self._before :]
        reached = any(one.carried for one in made.sent) or all(one.answered for one in now)
        if any(one.carried for one in made.sent) or (made.ended == "done" and reached):
            self._exchange.outside.carried.setdefault(
                self._key, Carried(self._key, made.effect.name, made.work.id, made.state, made.undoes, None)
            )


def _unexpected(error: BaseException) -> str:
    """What was raised, with its place, where no function of a call is meant to raise it; else nothing."""
    if isinstance(error, Declined | NotDone | Unclear | TimeoutError | asyncio.CancelledError):
        return ""
    last = extract_tb(error.__traceback__)[-1]
    return f"it raises {type(error).__name__} ({last.filename}:{last.lineno})"


class _Http(Http):
    """The client of one run of a function, in which one request goes wrong."""

    def __init__(
        self, outside: Outside, destination: Destination, key: str, deadline: float, seam: Seam, made: Made,
        fault: WireFault | None,
    ) -> None:  # fmt: skip
        super().__init__(outside, destination, key, deadline, None)
        self._seam, self._made, self._fault, self._call_key = seam, made, fault, key
        self._mine = destination

    async def request(self, method: str, url: str, **options: Any) -> Response:
        """As any client, until something goes wrong."""
        if origin_of(self._mine.url(url)) != self._mine.origin:
            self._seam.elsewhere.add(self._made.effect.name)
            raise NotDone("only what is below the destination is simulated")
        if method in READING:
            self._made.looked += 1
            return await super().request(method, url, **options)
        fault, self._fault = self._fault, None
        repeats = bool(options.get("idempotent"))
        sent = self._note(method, url, options)
        if fault == "not-reached":
            raise NotDone("the other side wasn't reached")
        if fault in ("cut-before-work", "never-arrives"):
            raise what_it_means("the connection was cut", [True], repeats)
        if fault == "refused":
            sent.answered, sent.refused = True, ("declined", "")
            return Response(402, {"content-type": "application/json"}, REFUSAL)
        if fault == "server-error":
            demand_outcome(503, {}, idempotent=repeats, now=datetime.now(UTC), at=url)
        if fault == "refused-unseen":
            await self._seam.refuse_next()
        answer = await self._pass(sent, method, url, options)
        if fault == "sent-twice":
            await self._pass(sent, method, url, options)
        if fault in ("reply-lost", "refused-unseen", "long-silence"):
            raise what_it_means("no answer in time", [True], repeats)
        sent.answered = True
        return answer

    async def _pass(self, sent: Sent, method: str, url: str, options: Mapping[str, Any]) -> Response:
        answer = await super().request(method, url, **options)
        if answer.ok and "idempotent-replayed" not in answer.headers:
            if sent.carried:
                self._made.sent.append(replace(sent))  # the copy was carried out as well
            sent.carried, sent.told = True, str(_said(answer).get("id", ""))
            self._seam.done_for.setdefault(sent.key, self._made.work.id)
            self._note_hold(sent.path, options.get("json"), answer)
        elif not answer.ok and (said := _said(answer)):
            sent.refused = str(said.get("code", "")), str(said.get("detail", ""))
            if sent.refused[0] == UNOFFERED:
                self._seam.unoffered.add(self._made.effect.name)
        elif answer.ok:
            sent.first = self._seam.done_for.get(sent.key)
        return answer

    def _note_hold(self, path: str, asked: Any, answer: Response) -> None:
        holds, (_, *parts), effect = self._seam.holds, path.split("/"), self._made.effect
        said = _said(answer)
        match parts:
            case ["payments", "authorize"]:
                hold = Hold("money", said["reference"], said["amount"], effect)
                if said.get("status") == "authorized":
                    holds[said["id"]] = hold
                else:
                    self._seam.pending[hold.reference] = said["id"], hold
            case ["payments", payment, "capture" | "void" as what]:
                holds.pop(payment, None)
                self._seam.pending.pop(str(said.get("reference")), None)
                if what == "capture":
                    self._let_go_pieces(said.get("reference"))
            case ["stock", "reserve"]:
                reference, pieces = str(asked.get("reference")), asked.get("quantity", 0)
                holds[f"pieces of {reference}"] = Hold("pieces", reference, pieces, effect)
            case ["stock", "release"] | ["shipments"]:
                self._let_go_pieces(asked.get("reference"))
            case _:
                pass

    def _let_go_pieces(self, reference: Any) -> None:
        self._seam.holds.pop(f"pieces of {reference}", None)

    def _note(self, method: str, url: str, options: Mapping[str, Any]) -> Sent:
        headers: Mapping[str, str] = options.get("headers") or {}
        given = {name.lower(): value for name, value in headers.items()}
        said = json.dumps([options.get("json"), str(options.get("content"))], default=str, sort_keys=True)
        digest = hashlib.sha256(said.encode()).hexdigest()
        sent = Sent(method, url, given.get("idempotency-key", self._call_key), digest)
        asked = options.get("json")
        sent.of_nothing = isinstance(asked, dict) and cast("dict[str, Any]", asked).get("amount") == 0
        self._made.sent.append(sent)
        return sent


def _said(answer: Response) -> dict[str, Any]:
    """The JSON of an answer; nothing where it has none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


class Simulated(NamedTuple):
    """Where a simulated outside is called, and where it is ruled."""

    url: str
    control: str


@asynccontextmanager
async def simulator() -> AsyncGenerator[Simulated]:
    """A process that is all of the outside, for as long as it is needed."""
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else happens before it serves
        [sys.executable, "-m", SIMULATOR, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        line = await asyncio.to_thread(cast("Any", process.stdout).readline)
        if not line:
            raise EnvironmentFault("provider-failed", "the provider did not start", "See the message above.")
        yield Simulated(**json.loads(line))
    finally:
        cast("Any", process.stdin).close()
        await asyncio.to_thread(process.wait, 10)
        cast("Any", process.stdout).close()
