"""One event for the outside, as a CloudEvents 1.0 message in structured JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md: the pair of source and id names one
occurrence, and stays the same however often it is delivered.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from avow.canonical import JsonValue
from avow.model.times import instant

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
"""The media type of the structured form."""

ATTRIBUTE_CHARACTERS_MAX = 1_024

_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_NONCHARACTER_BITS = 0xFFFE


def cloud_event(
    *,
    event_id: str,
    source: str,
    kind: str,
    time: datetime,
    data: JsonValue,
    subject: str | None = None,
) -> dict[str, JsonValue]:
    """The envelope, ready for JSON. Raises ValueError where an attribute breaks a rule of the specification.

    source: a URI reference, such as `/enrollments`; together with id it is unique.
    kind:   the type, such as `org.example.enrollment.approved`.
    time:   when it happened, with its offset from UTC.
    """
    if not _URI_REFERENCE.fullmatch(source):
        raise ValueError("the source of an event is a URI reference that isn't empty")
    if time.utcoffset() is None:
        raise ValueError("the time of an event has its offset from UTC")
    event: dict[str, JsonValue] = {
        "specversion": SPEC_VERSION,
        "id": _text("id", event_id),
        "source": _text("source", source),
        "type": _text("type", kind),
    }
    if subject is not None:
        event["subject"] = _text("subject", subject)
    return event | {"time": instant(time), "datacontenttype": "application/json", "data": data}


def _text(name: str, value: str) -> str:
    """A String of the specification: not empty, no control characters, surrogates or noncharacters."""
    if not value or len(value) > ATTRIBUTE_CHARACTERS_MAX or any(map(_is_refused, value)):
        raise ValueError(
            f"the {name} of an event is 1 to {ATTRIBUTE_CHARACTERS_MAX} characters of plain text"
        )
    return value


def _is_refused(character: str) -> bool:
    code = ord(character)
    is_noncharacter = 0xFDD0 <= code <= 0xFDEF or code & _NONCHARACTER_BITS == _NONCHARACTER_BITS
    return is_noncharacter or unicodedata.category(character) in ("Cc", "Cs")
