"""Senders: whoever tells us of events, and how a message of theirs is recognised and read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from avow.model.place import Place
from avow.model.signature import Scheme


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody outside who sends events.

    scheme: how messages are signed. strict: an event that nothing listens to is refused, and not just noted.
    type_at, data_at: where in the body the event's type and its data stand (RFC 6901).
    """

    name: str
    scheme: Scheme
    strict: bool = False
    type_at: str = "/type"
    data_at: str = "/data"
    place: Place = field(default=Place(), compare=False)

    @property
    def subject(self) -> str:
        """Who acts where an event is what happened."""
        return f"sender:{self.name}"

    def describe(self) -> dict[str, Any]:
        """As canonical plain data, for the fingerprint."""
        return {
            "scheme": {"name": type(self.scheme).__name__, **asdict(self.scheme)},
            "strict": self.strict,
            "type": self.type_at,
            "data": self.data_at,
        }
