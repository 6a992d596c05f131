"""Who acts: a person or program with its roles, inside one tenant."""

from __future__ import annotations

from dataclasses import dataclass, field

from avow.model.values import Subject

ANONYMOUS = Subject("anonymous")
DEFAULT_TENANT = "main"
"""Where whoever names no tenant acts."""
TENANT_CHARACTERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Actor:
    """Who sends a command, as authentication established it.

    subject: the person or program. tenant: where the command runs.
    roles:   what policies may ask for. credential: the id of the key or token (never the secret).
    """

    subject: Subject
    tenant: str
    roles: frozenset[str] = field(default_factory=frozenset[str])
    credential: str = ""

    @property
    def authenticated(self) -> bool:
        """False for the anonymous actor alone."""
        return self.subject != ANONYMOUS


def anonymous(tenant: str) -> Actor:
    """The actor of a request without credentials."""
    return Actor(ANONYMOUS, tenant)
