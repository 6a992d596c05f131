"""The words for events from outside: `sender(...)`, its signature, and the events that it tells of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from avow.declare.expression import Formula
from avow.declare.given import flag, text
from avow.declare.place import here, misuse
from avow.model import expression as ast
from avow.model.signature import PlainHmac, Scheme, StandardWebhooks, StripeStyle
from avow.model.trigger import DATA, PARK, REFUSE


def standard_webhooks() -> Scheme:
    """Messages are signed as standardwebhooks.com says: `webhook-id`, `-timestamp` and `-signature`."""
    return StandardWebhooks()


def stripe_signature(header: str = "Stripe-Signature", *, id_at: str = "/id") -> Scheme:
    """Messages are signed as Stripe does it: `t=` and `v1=` in one header.

    id_at: where in the body the message's id stands, as a JSON pointer.
    """
    named, where = text(header, "header", "Stripe-Signature"), text(id_at, "id_at", "/id")
    return _scheme(lambda: StripeStyle(named, where))


def hmac_signature(
    header: str,
    *,
    algorithm: Literal["sha256", "sha512"] = "sha256",
    encoding: Literal["hex", "base64"] = "hex",
    prefix: str = "",
    id_header: str | None = None,
    id_at: str | None = None,
) -> Scheme:
    """Messages carry an HMAC of their body in a header. No time is signed: a copy can't be told by its age.

    prefix: what stands before the signature, such as `sha256=`. id_header or id_at: where the message's id
    stands, in a header or (as a JSON pointer) in the body; in the body it is signed.
    """
    named, before = text(header, "header", "Signature"), text(prefix, "prefix")
    beside, inside = text(id_header, "id_header", None), text(id_at, "id_at", None)
    return _scheme(lambda: PlainHmac(named, algorithm, encoding, before, beside, inside))


def _scheme(make: Callable[[], Scheme]) -> Scheme:
    try:
        return make()
    except ValueError as error:
        misuse("sender-unreadable", f"the signature can't be read: {error}", "Write standard_webhooks().")
        return StandardWebhooks()


class EventWord:
    """An event of a sender. `data` is what is read of it, in `match=`, `sets=` and guards of transitions."""

    def __init__(self, sender: SenderWord, name: str, read: Any, **rest: Any) -> None:
        self.sender, self.name, self.read, self.rest, self.place = sender, name, read, rest, here()

    @property
    def data(self) -> Any:
        """What was read of the event, or a member of it: `paid.data.amount`."""
        return Formula(ast.Argument(DATA))


class SenderWord:
    """Somebody outside who sends events."""

    def __init__(self, name: str, **rest: Any) -> None:
        self.name, self.rest, self.place = name, rest, here()

    def event(
        self,
        name: str,
        data: type,
        *,
        early: Literal["park", "refuse"] = PARK,
        late: Literal["refuse", "stick"] = REFUSE,
        parked_for: timedelta = timedelta(days=7),
    ) -> EventWord:
        """Declare an event: the type that its messages have, and what is read of their data.

        data:  a frozen dataclass; members of the message that it doesn't have are ignored.
        early: `park` keeps an event whose record isn't there yet, or can still reach a state that takes it,
               and lets it happen then; `refuse` refuses it.
        late:  what becomes of an event where no state that the record can still reach takes it: `refuse`
               refuses it and says so in `avow.refusal`; `stick` keeps it for a person.
        parked_for: how long an early event is kept before a person has to look at it.
        """
        return EventWord(
            self, text(name, "name", "event"), data, early=early, late=late, parked_for=parked_for
        )


def sender(
    name: str, *, signature: Scheme, strict: bool = False, type_at: str = "/type", data_at: str = "/data"
) -> SenderWord:
    """Declare somebody outside who sends events, to `POST /events/NAME`.

    signature: how messages are signed; the secrets come from the setting AVOW_SENDER_SECRETS.
    strict:    an event that no transition is declared for is refused; otherwise it is noted and no more.
    type_at, data_at: where in the body the event's type and its data stand, as JSON pointers.
    """
    named, only = text(name, "name", "sender"), flag(strict, "strict")
    return SenderWord(named, signature=signature, strict=only, type_at=type_at, data_at=data_at)
