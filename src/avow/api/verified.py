"""Bearer tokens that were verified a moment ago: a signature isn't worked out again for each request.

It must never make a token last longer than it says: its validity is compared with the clock at every use,
and after BELIEVED_S its signature is verified anew, with the keys that its issuer then has. Only a token
that was verified enters, so nobody fills it without credentials; what is kept of one is its digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from avow import canonical
from avow.api.bearer import Validity
from avow.model.actor import Actor

BELIEVED_S: Final = 60.0
"""How long a signature that was verified counts: for so long a key that its issuer withdrew goes on
counting after the server has learned of it."""
TOKENS_MAX: Final = 4_096
"""How many tokens are remembered; beyond that the oldest is forgotten."""


class VerifiedTokens:
    """Who presents which token.

    wall_s: seconds since 1970. monotonic_s: seconds of a clock that never goes back.
    """

    def __init__(self, wall_s: Callable[[], float], monotonic_s: Callable[[], float]) -> None:
        self._wall_s, self._monotonic_s = wall_s, monotonic_s
        self._held = dict[bytes, tuple[Actor, Validity, float]]()

    def find(self, credential: bytes) -> Actor | None:
        """Who presents it, if it was verified lately and is valid now; None: it has to be verified.

        credential: the value of the header that carries the token.
        """
        digest = canonical.digest(credential)
        held = self._held.get(digest)
        if held is None:
            return None
        actor, validity, until_s = held
        if self._monotonic_s() < until_s and validity.holds(self._wall_s()):
            return actor
        del self._held[digest]
        return None

    def add(self, credential: bytes, actor: Actor, validity: Validity, verified_at_s: float) -> None:
        """Remember a token that was verified, with keys as they were at `verified_at_s` (monotonic)."""
        digest = canonical.digest(credential)
        self._held.pop(digest, None)  # so that the oldest stands first
        if len(self._held) >= TOKENS_MAX:
            del self._held[next(iter(self._held))]
        self._held[digest] = actor, validity, verified_at_s + BELIEVED_S
