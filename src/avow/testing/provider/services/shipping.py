"""Shipments: made, then delivered or cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from avow.testing.provider.ledger import Deed
from avow.testing.provider.services.service import (
    Call,
    Done,
    Event,
    Ids,
    Json,
    Refusal,
    Route,
    Service,
    found,
    of_reference,
    open_one,
)


class Shipping(Service):
    """A carrier."""

    name = "shipping"

    def __init__(self, ids: Ids) -> None:
        super().__init__(ids)
        self._shipments: dict[str, dict[str, Json]] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route("POST", "/shipments", "ship", self.ship),
            Route("POST", "/shipments/{id}/cancel", "cancel", self.cancel),
            Route("GET", "/shipments", "find", self.find),
            Route("GET", "/shipments/{id}", "get", self.get),
        )

    def ship(self, call: Call) -> Done:
        """Take a shipment on."""
        reference = call.text("reference")
        shipment: dict[str, Json] = {
            "id": self.ids.next("shp"), "status": "created", "reference": reference,
        }  # fmt: skip
        self._shipments[shipment["id"]] = shipment
        deed = Deed("ship", reference, id=shipment["id"])
        if self.results == "at_once":
            shipment["status"] = "delivered"
        answer = dict(shipment)
        if self.results == "webhook":
            shipment["status"] = "delivered"
            return Done(answer, 201, deed, (Event("shipment.delivered", dict(shipment)),))
        return Done(answer, 201, deed)

    def cancel(self, call: Call) -> Done:
        """Stop a shipment that isn't delivered yet."""
        shipment = found(self._shipments, call.id)
        if shipment["status"] != "created":
            raise Refusal(409, "wrong_status", f"The shipment is {shipment['status']}.")
        return self._end(shipment, "cancelled", "cancel")

    def find(self, call: Call) -> Done:
        """The shipments of a reference, oldest first."""
        return of_reference(self._shipments, call)

    def get(self, call: Call) -> Done:
        """One shipment."""
        return Done(dict(found(self._shipments, call.id)))

    def settle(self, reference: str, result: str | None) -> Done:
        """Deliver a shipment; `returned` brings it back."""
        if result not in (None, "delivered", "returned"):
            raise Refusal(400, "invalid", "A shipment ends as `delivered` or `returned`.")
        shipment = open_one(self._shipments, reference, "created")
        return self._end(shipment, result or "delivered", "deliver" if result != "returned" else "return")

    def _end(self, shipment: dict[str, Json], status: str, operation: str) -> Done:
        shipment["status"] = status
        shown = dict(shipment)
        deed = Deed(operation, shipment["reference"], id=shipment["id"])
        return Done(shown, 200, deed, (Event(f"shipment.{status}", shown),))
