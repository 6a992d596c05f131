# What `import avow` offers, for type checkers; `__init__.py` brings each name when it is first asked for.

from avow.declare.build import system
from avow.declare.delay import calendar, days, hours, minutes, seconds, weeks
from avow.declare.effect import Call, backoff, effect, forever
from avow.declare.expression import (
    Policy,
    actor,
    authenticated,
    everybody,
    given,
    internal,
    missing,
    not_,
    now,
    one_of,
    opaque,
    role,
    value,
)
from avow.declare.people import task
from avow.declare.private import private, reveal
from avow.declare.promise import World, always, sometimes
from avow.declare.rule import exclude, invariant, quota, unique
from avow.declare.saga import nothing, parallel, saga, step
from avow.declare.sender import hmac_signature, sender, standard_webhooks, stripe_signature
from avow.declare.surface import (
    Entity,
    State,
    create,
    field,
    in_state,
    limits,
    performed,
    publish,
    read,
    ref,
    refuse,
    transition,
    votes,
)
from avow.model.actor import Actor
from avow.model.outcome import Declined, NotDone, Unclear
from avow.model.system import System
from avow.model.values import Money, Subject

__version__: str

__all__ = [
    "Actor",
    "Call",
    "Declined",
    "Entity",
    "Money",
    "NotDone",
    "Policy",
    "State",
    "Subject",
    "System",
    "Unclear",
    "World",
    "actor",
    "always",
    "authenticated",
    "backoff",
    "calendar",
    "create",
    "days",
    "effect",
    "everybody",
    "exclude",
    "field",
    "forever",
    "given",
    "hmac_signature",
    "hours",
    "in_state",
    "internal",
    "invariant",
    "limits",
    "minutes",
    "missing",
    "not_",
    "nothing",
    "now",
    "one_of",
    "opaque",
    "parallel",
    "performed",
    "private",
    "publish",
    "quota",
    "read",
    "ref",
    "refuse",
    "reveal",
    "role",
    "saga",
    "seconds",
    "sender",
    "sometimes",
    "standard_webhooks",
    "step",
    "stripe_signature",
    "system",
    "task",
    "transition",
    "unique",
    "value",
    "votes",
    "weeks",
]
