"""The right to call at all: settled before any record is looked at.

It must never permit anything. Whether a record lets the actor through is the kernel's decision, and
the answer here is the same whether the record exists or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from avow.api.problems import no_credential
from avow.api.reach import possible_for_anonymous
from avow.errors import reject
from avow.kernel.policy import never_may
from avow.model.actor import Actor
from avow.model.expression import Expression, render

ROLE_SETS_MAX: Final = 1_000
"""For how many sets of roles an answer is remembered; beyond that it is worked out again."""


class RightToCall:
    """The right to one operation: an actor whom no record could ever let through has none.

    policies: those of its transitions; one is enough. rule: what is called, in the words of the declaration.
    """

    def __init__(self, policies: Sequence[Expression], rule: str) -> None:
        self._policies, self._rule = policies, rule
        self._open_to_anonymous = any(map(possible_for_anonymous, policies))
        # Where nothing is known of the record, what tells two authenticated actors apart is their roles.
        self._hopeless = dict[frozenset[str], bool]()

    def demand(self, actor: Actor) -> None:
        """Raise `unauthenticated` where there is no credential and one is needed, else `forbidden`."""
        if not actor.authenticated:
            if not self._open_to_anonymous:
                raise no_credential()
            return
        hopeless = self._hopeless.get(actor.roles)
        if hopeless is None:
            hopeless = self._settle(actor)
        if hopeless:
            allowed = " or ".join(dict.fromkeys(map(render, self._policies)))
            raise reject("forbidden", f"{self._rule} is allowed to: {allowed}.", rule=self._rule)

    def _settle(self, actor: Actor) -> bool:
        if len(self._hopeless) >= ROLE_SETS_MAX:
            self._hopeless.clear()
        hopeless = all(never_may(policy, actor) for policy in self._policies)
        self._hopeless[actor.roles] = hopeless
        return hopeless
