"""The right to call at all: settled before any record is looked at.

It must never permit anything. Whether a record lets the actor through is the kernel's decision, and
the answer here is the same whether the record exists or not.
"""

from __future__ import annotations

from collections.abc import Sequence

from avow.api.problems import no_credential
from avow.api.reach import possible_for_anonymous
from avow.errors import reject
from avow.kernel.policy import never_may
from avow.model.actor import Actor
from avow.model.expression import Expression, render


def demand_right_to_call(actor: Actor, policies: Sequence[Expression], rule: str) -> None:
    """Refuse an actor whom no record could ever let through by any of the policies.

    rule: what is called, in the words of the declaration. Raises `unauthenticated` (401) where there is
    no credential and one is needed, else `forbidden` (403).
    """
    if not actor.authenticated:
        if not any(map(possible_for_anonymous, policies)):
            raise no_credential()
    elif all(never_may(policy, actor) for policy in policies):
        allowed = " or ".join(dict.fromkeys(map(render, policies)))
        raise reject("forbidden", f"{rule} is allowed to: {allowed}.", rule=rule)
