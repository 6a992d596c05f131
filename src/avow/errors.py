"""Every error that Avow can answer with: a stable code, a status, a title, and what to do.

Two families live here and nowhere else.

*Problems* are answers. A client, an actor or a passing fault caused them; they leave the server as
RFC 9457 problem documents and reach the command line as one line of text. They are rows of
`PROBLEMS`, split by `Kind` into what the caller must change (`REJECTED`), what may simply be sent
again (`TRY_AGAIN`), and what is our own fault (`BUG`).

*Exceptions* stop a program::

    AvowError
     ├─ ProblemError        carries a Problem to the edge that answers it
     ├─ DeclarationError    the declaration has mistakes; all of them at once   (exit 2)
     ├─ UsageError          the command line or a setting is wrong              (exit 2)
     └─ EnvironmentFault    database, disk, port, account: not our code         (exit 3)

This module imports nothing of Avow and performs no input or output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class Kind(StrEnum):
    """Who has to act next: the caller, nobody (send it again), or us."""

    REJECTED = "rejected"
    TRY_AGAIN = "try-again"
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row of the table of problems.

    code:   stable, kebab-case; the last part of the problem's `type` URI.
    status: the HTTP status it is answered with.
    title:  constant per code (RFC 9457, 3.1.4).
    mend:   one sentence that says what the caller should do.
    """

    code: str
    status: int
    title: str
    mend: str
    kind: Kind = Kind.REJECTED


def _table(*rows: ProblemType) -> dict[str, ProblemType]:
    table = {row.code: row for row in rows}
    if len(table) != len(rows):
        raise ValueError("a problem code stands twice in the table")
    return table


_AGAIN = Kind.TRY_AGAIN

PROBLEMS: Mapping[str, ProblemType] = _table(
    # Framing and syntax: nothing was looked at yet.
    ProblemType("bad-request", 400, "The request is malformed", "Correct the request and send it again."),
    ProblemType("host-invalid", 400, "The Host header is missing or stands twice", "Send exactly one Host header."),
    ProblemType("event-invalid", 400, "The event cannot be read", "Send what the declaration reads of this event: see `errors`; nothing was executed."),
    ProblemType("json-invalid", 400, "The body is not strict JSON", "Send one UTF-8 JSON document: no duplicate members, no NaN, no lone surrogates."),
    ProblemType("credential-in-query", 400, "A credential stands in the query string", "Send it in the Authorization header, and replace the credential: the URL may have been logged."),
    ProblemType("cursor-invalid", 400, "The cursor is not valid here", "Start again without a cursor; a cursor belongs to one filter, one order and one tenant."),
    ProblemType("header-invalid", 400, "A header cannot be read", "Correct the header that is named and send the request again."),
    ProblemType("idempotency-key-missing", 400, "An Idempotency-Key is required", "Send an Idempotency-Key header: one fresh key per intended command, the same key on every retry."),
    ProblemType("idempotency-key-invalid", 400, "The Idempotency-Key cannot be read", "Send one key of 1 to 255 visible ASCII characters, quoted or bare."),
    # Who are you, and may you call this at all?
    ProblemType("unauthenticated", 401, "No valid credential", "Send a valid, unexpired bearer token or API key in the Authorization header."),
    ProblemType("signature-invalid", 401, "The message is not signed by its sender", "Sign the body as it is sent, with a secret in force and the current time; `reason` says what is wrong."),
    ProblemType("forbidden", 403, "Not allowed", "Ask the owner of this boundary for the role that the policy names."),
    ProblemType("four-eyes", 403, "A second person is required", "Let somebody do this who has not done the step that the policy names."),
    ProblemType("not-found", 404, "Nothing here", "Check the address; what you may not know of is answered in the same way."),
    ProblemType("method-not-allowed", 405, "The method is not allowed here", "Use one of the methods in the Allow header."),
    ProblemType("not-acceptable", 406, "No representation is acceptable", "Accept application/json."),
    ProblemType("request-timeout", 408, "The request arrived too slowly", "Send the identical request again on a new connection.", _AGAIN),
    # The state of things is against it.
    ProblemType("state-conflict", 409, "The transition is not declared from the current state", "Use one of the transitions in `allowed`; where it is empty, you can give none of this record now."),
    ProblemType("event-early", 409, "The event came too early", "Nothing: it is kept until the record can take it, unless its declaration refuses early events."),
    ProblemType("event-late", 409, "The event came too late", "Settle by hand what it tells of: the record cannot reach a state any more that takes it."),
    ProblemType("guard-failed", 409, "A guard does not hold", "Change what the guard names, then send a new command with a new key."),
    ProblemType("invariant-violated", 409, "An invariant would be broken", "Change the command so that the invariant named in `rule` still holds."),
    ProblemType("unique-violated", 409, "Another record already has these values", "Use other values, or work with the record that exists."),
    ProblemType("exclusion-violated", 409, "The record would overlap with another", "Choose values that do not overlap."),
    ProblemType("refused", 409, "The declaration refused the command", "See `detail`; it was written by the owner of this boundary."),
    ProblemType("erasure-held", 409, "What is private about this person may not be erased now", "See `detail`: wait until the hold is released, or until it has been kept long enough."),
    ProblemType("task-claimed", 409, "Somebody else has claimed the task", "Wait until it is released or the claim ends, or ask whoever holds it to delegate it to you."),
    ProblemType("task-not-held", 409, "The task isn't yours to give up", "Claim it first; only who holds a task releases it."),
    ProblemType("work-moved", 409, "The work isn't what was seen", "Look at it again: it is under way, or something was done about it since."),
    ProblemType("set-changed", 409, "The set isn't what was previewed", "Preview it again: what fits the filter has changed since. Nothing was done."),
    ProblemType("not-a-call", 409, "It isn't a call to the outside", "Skip or retry it: only a call has an outcome, or something to be undone."),
    ProblemType("call-unclear", 409, "Nobody knows whether the call was carried out", "Ask the other side, and settle the call with evidence: what was done is undone by the saga itself."),
    ProblemType("evidence-missing", 409, "What shows how the call ended is missing", "Ask the other side, and send it again with `evidence`: nobody here knows whether the call was carried out."),
    ProblemType("call-owed", 409, "What is owed can't fail", "Settle it as done, or let it be tried again: its record has no way on without it."),
    ProblemType("nothing-owed", 409, "Nothing is to be undone", "Skip the call, if it is to be given up: nothing that was done before it has an undo."),
    ProblemType("destination-unchanged", 409, "The destination is so already", "Nothing; or look for its name: it may not be known."),
    ProblemType("claim-unproved", 409, "No entry makes the claim true", "Look at the record's history; a claim is about what one entry has set."),
    ProblemType("history-dropped", 410, "That part of the history was dropped", "Look into the export: its folder is told by `avow history`, to an operator."),
    ProblemType("precondition-failed", 412, "The record has changed", "Read the record again and decide on its current version."),
    ProblemType("body-too-large", 413, "The body is too large", "Send a smaller body; the limit is in `limit_bytes`."),
    ProblemType("uri-too-long", 414, "The address is too long", "Send a shorter address."),
    ProblemType("media-type-unsupported", 415, "The media type is not supported", "Send the body as application/json in UTF-8 without Content-Encoding."),
    ProblemType("event-unknown", 422, "Nothing listens to this event", "Send only events that the declaration names."),
    ProblemType("input-invalid", 422, "The input does not fit the declaration", "Correct each place named in `errors`; nothing was executed."),
    ProblemType("idempotency-key-reused", 422, "The Idempotency-Key was used for another request", "Use a fresh key for a new request; repeat a key only with the identical request."),
    ProblemType("precondition-required", 428, "If-Match is required", "Read the record and send its ETag in If-Match."),
    ProblemType("headers-too-large", 431, "The headers are too large", "Send fewer or shorter headers."),
    # Send it again.
    ProblemType("busy", 503, "Too busy", "Send the identical request again after Retry-After.", _AGAIN),
    ProblemType("contention", 503, "Too much contention on this record", "Send the identical request again, with the same key, after Retry-After.", _AGAIN),
    ProblemType("database-unavailable", 503, "The database cannot be reached", "Send the identical request again, with the same key: the key settles whether it was executed.", _AGAIN),
    ProblemType("not-sealed", 503, "The entry is not sealed yet", "Send the identical request again after Retry-After, or with Prefer: wait=10.", _AGAIN),
    ProblemType("deadline-exceeded", 504, "The request took too long", "Send the identical request again, with the same key: nothing is executed twice.", _AGAIN),
    # Ours.
    ProblemType("internal-error", 500, "Our fault", "Report the request id; nothing was recorded, the same key may be used again.", Kind.BUG),
    ProblemType("method-unknown", 501, "The method is unknown", "Use GET, HEAD, OPTIONS or POST."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer that is not a success.

    code:   a key of `PROBLEMS`.
    detail: one sentence about this occurrence. Never an input value, SQL, a path or a host name.
    extra:  further members, JSON-ready (`errors`, `allowed`, `current_state`, `rule`, ...).
    """

    code: str
    detail: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def type(self) -> ProblemType:
        """The row of the table; a code that is not in it is our bug and raises KeyError."""
        return PROBLEMS[self.code]

    @property
    def status(self) -> int:
        """The HTTP status of this problem."""
        return self.type.status


class AvowError(Exception):
    """Base of every exception that Avow raises on purpose."""

    exit_code: ClassVar[int] = 2


class ProblemError(AvowError):
    """Carries a problem to the edge that answers it (HTTP, command line).

    problem: what to answer.
    headers: response headers that belong to it, such as Retry-After or Allow.
    """

    exit_code = 1

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{problem.code}: {problem.detail or problem.type.title}")
        self.problem = problem
        self.headers = dict(headers or {})


def reject(code: str, detail: str = "", /, **extra: Any) -> ProblemError:
    """Make the exception for a problem: `raise reject("not-found")`."""
    return ProblemError(Problem(code, detail, extra))


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake (or warning) in a declaration.

    file, line: where the declaration stands.
    code:       stable, kebab-case; documented in docs/reference/mistakes.md.
    detail:     what is wrong, in the words of the declaration.
    mend:       what to write instead.
    warning:    true when the system still starts.
    """

    file: str
    line: int
    code: str
    detail: str
    mend: str
    warning: bool = False

    def __str__(self) -> str:
        level = "warning" if self.warning else "error"
        return f"{self.file}:{self.line}: {level}[{self.code}] {self.detail}\n    mend: {self.mend}"


class DeclarationError(AvowError):
    """The declaration has mistakes; `mistakes` holds all of them, in file order."""

    exit_code = 2

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        count = sum(not m.warning for m in self.mistakes)
        head = f"{count} mistake{'s' if count != 1 else ''} in the declaration"
        super().__init__("\n".join([head, *map(str, self.mistakes)]))


class UsageError(AvowError):
    """A command-line argument or a setting is wrong.

    detail: what is wrong. mend: what to do.
    """

    exit_code = 2

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.mend = mend


class EnvironmentFault(AvowError):
    """The surroundings are wrong: database, disk, port, account.

    code: stable, kebab-case. detail: what is wrong. mend: what to do.
    """

    exit_code = 3

    def __init__(self, code: str, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.mend = mend
