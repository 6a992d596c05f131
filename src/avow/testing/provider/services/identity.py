"""Identity checks: asked for now, answered later."""

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
    open_one,
)

RESULTS = ("passed", "failed", "review")
BY_DOCUMENT = {"forged": "failed", "unclear": "review"}
"""What the result is where a test doesn't say: by the document; `passed` for any other."""


class Identity(Service):
    """Who checks documents. A check's reference is its `reference`, or else its subject."""

    name = "identity"

    def __init__(self, ids: Ids) -> None:
        super().__init__(ids)
        self.results = "webhook"
        self._checks: dict[str, dict[str, Json]] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route("POST", "/checks", "check", self.check),
            Route("GET", "/checks", "find", self.find),
            Route("GET", "/checks/{id}", "get", self.get),
        )

    def check(self, call: Call) -> Done:
        """Ask for a check of one kind."""
        subject, document, kind = call.text("subject"), call.text("document"), call.text("kind")
        check: dict[str, Json] = {
            "id": self.ids.next("chk"), "status": "pending", "result": None, "subject": subject,
            "kind": kind, "reference": call.text("reference", subject), "document": document,
        }  # fmt: skip
        self._checks[check["id"]] = check
        deed = Deed("check", check["reference"], item=kind, id=check["id"])
        if self.results == "told":
            return Done(_shown(check), 202, deed)
        answer = _shown(check)
        event = self._complete(check, None)
        if self.results == "webhook":
            return Done(answer, 202, deed, (event,))
        return Done(_shown(check), 201, deed)

    def find(self, call: Call) -> Done:
        """The checks of a reference, oldest first."""
        reference = call.query.get("reference", "")
        return Done(
            {"items": [_shown(one) for one in self._checks.values() if one["reference"] == reference]}
        )

    def get(self, call: Call) -> Done:
        """One check."""
        return Done(_shown(found(self._checks, call.id)))

    def settle(self, reference: str, result: str | None) -> Done:
        """Complete the oldest check of a reference that is pending."""
        check = open_one(self._checks, reference, "pending")
        event = self._complete(check, result)
        deed = Deed("complete", reference, item=check["kind"], id=check["id"])
        return Done(event.data, 200, deed, (event,))

    def _complete(self, check: dict[str, Json], result: str | None) -> Event:
        result = result or BY_DOCUMENT.get(check["document"], "passed")
        if result not in RESULTS:
            raise Refusal(400, "invalid", f"A check ends as one of {', '.join(RESULTS)}.")
        check.update(status="completed", result=result)
        return Event("check.completed", _shown(check))


def _shown(check: dict[str, Json]) -> dict[str, Json]:
    """A check without the document, which is nobody else's business."""
    return {name: value for name, value in check.items() if name != "document"}
