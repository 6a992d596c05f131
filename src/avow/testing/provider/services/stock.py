"""Stock: pieces of each sku, reserved for a reference and released again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from avow.testing.provider.ledger import Deed
from avow.testing.provider.services.service import Call, Done, Event, Ids, Refusal, Route, Service


class Stock(Service):
    """A warehouse. A sku that was never set has no end."""

    name = "stock"

    def __init__(self, ids: Ids) -> None:
        super().__init__(ids)
        self._free: dict[str, int] = {}
        self._reserved: dict[str, Counter[str]] = defaultdict(Counter)

    @property
    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route("POST", "/stock/reserve", "reserve", self.reserve),
            Route("POST", "/stock/release", "release", self.release),
            Route("GET", "/stock", "find", self.find),
        )

    def set_free(self, pieces: Mapping[str, int]) -> None:
        """How many pieces are free now."""
        self._free.update(pieces)

    def reserve(self, call: Call) -> Done:
        """Set pieces aside."""
        sku, quantity, reference = call.text("sku"), call.whole("quantity"), call.text("reference")
        free = self._free.get(sku)
        if free is not None:
            if quantity > free:
                raise Refusal(409, "sold_out", f"There are {free} pieces.")
            self._free[sku] = free - quantity
        self._reserved[reference][sku] += quantity
        body = {"reference": reference, "sku": sku, "quantity": quantity, "status": "reserved"}
        return Done(body, 201, Deed("reserve", reference, quantity, sku), (Event("stock.reserved", body),))

    def release(self, call: Call) -> Done:
        """Put back one sku of a reference, or the only one that it has. Releasing nothing does nothing."""
        reference = call.text("reference")
        reserved = +self._reserved[reference]
        sku = call.text("sku", "") or (next(iter(reserved)) if len(reserved) == 1 else "")
        if not sku and reserved:
            raise Refusal(400, "invalid", "`sku` must say which of several is released.")
        quantity = self._reserved[reference].pop(sku, 0)
        body = {"reference": reference, "sku": sku, "quantity": quantity, "status": "released"}
        if not quantity:
            return Done(body)
        if sku in self._free:
            self._free[sku] += quantity
        return Done(body, 200, Deed("release", reference, quantity, sku), (Event("stock.released", body),))

    def find(self, call: Call) -> Done:
        """What is reserved for a reference."""
        reserved = self._reserved.get(call.query.get("reference", ""), Counter[str]())
        return Done({"items": [{"sku": sku, "quantity": count} for sku, count in reserved.items()]})
