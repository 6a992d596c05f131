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
RISKS = {"risky": 90, "forged": 95}
RISK = 10
"""How large the risk is, of 100: by the document, or this."""
UNREADABLE = "unreadable"
"""A document of which no check can be made."""


class Identity(Service):
    """Who checks documents. A check's reference is its `reference`, or else its subject.

    Every result has a revision, from 1: what was said before may be corrected.
    """

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
            Route("POST", "/checks/{id}/cancel", "cancel", self.cancel),
            Route("GET", "/checks", "find", self.find),
            Route("GET", "/checks/{id}", "get", self.get),
        )

    def check(self, call: Call) -> Done:
        """Ask for a check of one kind."""
        subject, document, kind = call.text("subject"), call.text("document"), call.text("kind")
        if document.startswith(UNREADABLE):
            raise Refusal(422, UNREADABLE, "The document can't be read.")
        check: dict[str, Json] = {
            "id": self.ids.next("chk"), "status": "pending", "result": None, "risk": None, "revision": 0,
            "subject": subject, "kind": kind, "reference": call.text("reference", subject),
            "document": document,
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

    def cancel(self, call: Call) -> Done:
        """Stop a check that isn't completed yet; nothing is told of it any more."""
        check = found(self._checks, call.id)
        if check["status"] != "pending":
            raise Refusal(409, "wrong_status", f"The check is {check['status']}.")
        check["status"] = "cancelled"
        deed = Deed("cancel", check["reference"], item=check["kind"], id=check["id"])
        return Done(_shown(check), 200, deed)

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
        """Complete the oldest check of a reference that is pending, or correct the oldest that was."""
        pending = any(c["reference"] == reference and c["status"] == "pending" for c in self._checks.values())
        check = open_one(self._checks, reference, "pending" if pending else "completed")
        event = self._complete(check, result)
        deed = Deed("complete" if pending else "correct", reference, item=check["kind"], id=check["id"])
        return Done(event.data, 200, deed, (event,))

    def _complete(self, check: dict[str, Json], result: str | None) -> Event:
        result = result or BY_DOCUMENT.get(check["document"], "passed")
        if result not in RESULTS:
            raise Refusal(400, "invalid", f"A check ends as one of {', '.join(RESULTS)}.")
        risk = RISKS.get(check["document"], RISK)
        check.update(status="completed", result=result, risk=risk, revision=check["revision"] + 1)
        return Event("check.completed", _shown(check))


def _shown(check: dict[str, Json]) -> dict[str, Json]:
    """A check without the document, which is nobody else's business."""
    return {name: value for name, value in check.items() if name != "document"}
