"""The services of the outside: each a few rules over what it keeps in memory, without network or time."""

from __future__ import annotations

from avow.testing.provider.services.accounts import Accounts
from avow.testing.provider.services.identity import Identity
from avow.testing.provider.services.payment import Payment
from avow.testing.provider.services.service import Ids, Service
from avow.testing.provider.services.shipping import Shipping
from avow.testing.provider.services.stock import Stock


def every_service(ids: Ids) -> dict[str, Service]:
    """One of each, by name."""
    services: list[Service] = [Payment(ids), Stock(ids), Shipping(ids), Identity(ids), Accounts(ids)]
    return {service.name: service for service in services}
