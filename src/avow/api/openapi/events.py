"""What the OpenAPI document says of the addresses that events are sent to."""

from __future__ import annotations

from typing import Any, Final

from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import Schema, closed_object
from avow.api.openapi.parts import json_body
from avow.engine.workers.hearing import Outcome
from avow.model.sender import Sender
from avow.model.system import System, listening

TAG: Final = {"name": "events", "description": "What others tell us, each message signed by its sender."}
OUTCOME_NAME: Final = "avow.outcome"
OUTCOME: Final[Schema] = {
    **closed_object(
        {"outcome": {"type": "string", "enum": [outcome.value for outcome in Outcome]}}, ["outcome"]
    ),
    "description": "What became of the event. `applied`: it happened, now or earlier. `parked`: it "
    "waits until its record can take it. `refused`: it is late, or a rule is against it. `noted`: nothing "
    "listens to it. None of them is to be sent again.",
}
_CODES: Final = (
    "json-invalid", "event-invalid", "signature-invalid", "not-found", "body-too-large", "header-invalid",
    "request-timeout", "contention",
)  # fmt: skip


def operation(system: System, sender: Sender, answers: Answers) -> dict[str, Any]:
    """The operation by which one sender tells of events."""
    names = sorted({event.event for _, event in listening(system) if event.sender == sender.name})
    known = ", ".join(f"`{name}`" for name in names)
    others = "Any other is refused." if sender.strict else "Any other is noted."
    codes = [*_CODES, *(["event-unknown"] if sender.strict else [])]
    message: Schema = {"type": "object", "description": f"Its type stands at `{sender.type_at}`."}
    return {
        "tags": [TAG["name"]],
        "operationId": f"events.{sender.name}",
        "summary": f"Tell of an event, as {sender.name}",
        "description": f"Signed as {type(sender.scheme).__name__}; no other credential. Events: {known}. "
        f"{others} A message that is sent again, under its id, happens once and gets the same answer.",
        "security": [],
        "requestBody": json_body(message),
        "responses": {
            "200": answers.json("It happened, or was refused.", OUTCOME_NAME, "Idempotency-Replayed"),
            "202": answers.json("It is kept, or was noted.", OUTCOME_NAME, "Idempotency-Replayed"),
            **answers.refusals(codes),
        },
    }
