"""Idempotency keys as an outside service keeps them: well, strictly like Stripe, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from avow.testing.provider.services.service import Call, Refusal
from avow.testing.provider.wire import Answer

SUCCESS_BELOW = 300
NEVER_KEPT = 400
"""A request that couldn't be read was never begun: it may be corrected under its key."""


class Keeping(StrEnum):
    """Which answers are kept under a key, and replayed.

    done:    the answer to what was done; what was refused or failed may be tried again under its key.
    every:   also a refusal and a 5xx: under this key nothing else will ever be said (Stripe).
    ignored: none; the service doesn't look at keys.
    """

    DONE = "done"
    EVERY = "every"
    IGNORED = "ignored"


@dataclass
class Known:
    """What is known of one key. answer: None while the work is under way; replayed: whether it is kept."""

    call: Call
    answer: Answer | None = None
    replayed: bool = False


class Keys:
    """The keys of one service."""

    def __init__(self) -> None:
        self.keeping = Keeping.DONE
        self._known: dict[str, Known] = {}

    def find(self, key: str) -> Known | None:
        """What is known of a key: also of one whose answer isn't replayed."""
        return self._known.get(key)

    def kept(self, call: Call) -> Answer | None:
        """The answer to replay. Raises Refusal where the key is at work, or belongs to another request."""
        if call.key is None or self.keeping is Keeping.IGNORED:
            return None
        known = self._known.get(call.key)
        if known is None or (known.answer is not None and not known.replayed):
            return None
        if not known.call.same_as(call):
            raise Refusal(422, "key_reused", "The Idempotency-Key belongs to another request.")
        if known.answer is None:
            raise Refusal(409, "key_in_use", "A request with this Idempotency-Key is under way.")
        return known.answer

    def take(self, call: Call) -> Known:
        """Hold the key, until `keep` says how it ended."""
        known = Known(call)
        if call.key is not None and self.keeping is not Keeping.IGNORED:
            self._known[call.key] = known
        return known

    def keep(self, known: Known, done: Answer, told: Answer) -> None:
        """Remember how it ended. done: what the service decided; told: what its client is answered."""
        every = self.keeping is Keeping.EVERY
        known.answer = told if every else done
        status = known.answer.status
        known.replayed = status < SUCCESS_BELOW or (every and status != NEVER_KEPT)
