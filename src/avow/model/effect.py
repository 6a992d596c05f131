"""Effects: calls to the outside as they are declared. What is called is the owner's function; how often, how
long, and what is done about an answer that never came, is data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avow.model.flaw import ValueType
from avow.model.place import Place
from avow.model.task import Task

DONE, FAILED, UNKNOWN = "done", "failed", "unknown"
"""How a call ends: it was done; it certainly wasn't and won't be; nobody here can tell."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """When a call that wasn't done is tried again: after doubling pauses, at most `attempts` times in all.

    attempts: None: for ever. first_s, most_s: the first pause and the longest, in seconds.
    """

    attempts: int | None = 8
    first_s: float = 1.0
    most_s: float = 300.0

    def pause_s(self, attempt: int, chance: float) -> float:
        """Seconds to wait after this attempt, counted from 1; `chance` in [0, 1) spreads them by half."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 60))
        return longest * (0.5 + chance / 2)

    def describe(self) -> dict[str, Any]:
        """As canonical plain data."""
        return {
            "attempts": self.attempts,
            "first_ms": round(self.first_s * 1_000),
            "most_ms": round(self.most_s * 1_000),
        }


REQUEST_BYTES_MAX = ANSWER_BYTES_MAX = 1_048_576
"""The longest request that a call sends, and the longest answer that is read or kept, unless declared."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One kind of call to the outside, made while a record is in a state that invokes it.

    function:    called with a handle of the record and a `Call`; its result is the outcome `done`.
    lookup:      asks the other side what became of a call whose answer is missing: its result, or None
                 where it was never done.
    result:      the type of what it returns; None: nothing.
    timeout_s:   how long one attempt may take, after which its outcome is unclear.
    destination: where it goes; limits, pauses and the circuit breaker are the destination's.
    rate_per_s, concurrency: how many calls may begin each second, and be under way at once, in all workers.
    keyed:       the other side carries out one request for one key, however often it arrives.
    keeps_faults: it also keeps its own faults (5xx) under the key, and would give the same answer again.
    request_bytes_max: the longest body that is sent. answer_bytes_max: the longest that is read, and the
                 longest result that is kept, as JSON.
    ordered_by:  calls of records with an equal value in this field are made one after the other.
    task:        whom it asks once it is stuck; None: the operators.
    """

    name: str
    function: Callable[..., Any] = field(compare=False)
    source_hash: str
    result: ValueType | None
    timeout_s: float
    retry: Backoff
    destination: str
    rate_per_s: float | None = None
    concurrency: int | None = None
    keyed: bool = True
    keeps_faults: bool = False
    ordered_by: str | None = None
    request_bytes_max: int = REQUEST_BYTES_MAX
    answer_bytes_max: int = ANSWER_BYTES_MAX
    lookup: Callable[..., Any] | None = field(default=None, compare=False)
    lookup_hash: str = ""
    task: Task | None = None
    doc: str = ""
    place: Place = field(default=Place(), compare=False)

    def describe(self) -> dict[str, Any]:
        """As canonical plain data, for the fingerprint."""
        limits = (self.request_bytes_max, self.answer_bytes_max)
        return {
            "source": self.source_hash,
            "lookup": self.lookup_hash,
            "result": None if self.result is None else self.result.describe(),
            "timeout_ms": round(self.timeout_s * 1_000),
            "retry": self.retry.describe(),
            "destination": self.destination,
            "rate_per_1000_s": None if self.rate_per_s is None else round(self.rate_per_s * 1_000),
            "concurrency": self.concurrency,
            "keyed": self.keyed,
            "keeps_faults": self.keeps_faults,
            "ordered_by": self.ordered_by,
            **({} if limits == _LIMITS else {"request_bytes_max": limits[0], "answer_bytes_max": limits[1]}),
            **({} if self.task is None else {"task": self.task.describe()}),
        }


_LIMITS = (REQUEST_BYTES_MAX, ANSWER_BYTES_MAX)
