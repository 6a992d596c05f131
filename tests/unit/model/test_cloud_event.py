"""Events are CloudEvents 1.0: each rule that the specification has for what we send."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from avow.canonical import encode
from avow.model.cloud_event import CONTENT_TYPE, cloud_event

THEN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "event_id": "evt_1",
    "source": "/enrollments",
    "kind": "org.example.enrollment.approved",
    "time": THEN,
    "data": {"seat": 4},
    "subject": "018f/3",
}


def test_an_event_has_every_attribute_that_is_required_and_its_data_as_json() -> None:
    assert json.loads(encode(cloud_event(**GOOD))) == {
        "specversion": "1.0",
        "id": "evt_1",
        "source": "/enrollments",
        "type": "org.example.enrollment.approved",
        "subject": "018f/3",
        "time": "2026-11-21T09:30:00.000000Z",
        "datacontenttype": "application/json",
        "data": {"seat": 4},
    }
    assert CONTENT_TYPE.startswith("application/cloudevents+json")


def test_names_of_attributes_are_lower_case_letters_and_digits() -> None:
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in cloud_event(**GOOD))


def test_no_subject_is_no_member() -> None:
    assert "subject" not in cloud_event(**GOOD | {"subject": None})


def test_the_time_is_an_instant_of_rfc_3339() -> None:
    elsewhere = THEN.astimezone(timezone(timedelta(hours=-5)))
    assert cloud_event(**GOOD | {"time": elsewhere})["time"] == "2026-11-21T09:30:00.000000Z"
    with pytest.raises(ValueError, match="offset"):
        cloud_event(**GOOD | {"time": THEN.replace(tzinfo=None)})


@pytest.mark.parametrize("name", ["event_id", "source", "kind", "subject"])
@pytest.mark.parametrize(
    "value", ["", "a\nb", "a\x7fb", "a\x85b", "\ud800", "\ufffe", "\ufdd0", "\U0001ffff", "x" * 1_025]
)
def test_text_is_not_empty_and_plain(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="of an event"):
        cloud_event(**GOOD | {name: value})


@pytest.mark.parametrize("source", ["a b", "%zz", "<x>", "ä", 'a"b', "a\\b"])
def test_a_source_is_a_uri_reference(source: str) -> None:
    with pytest.raises(ValueError, match="URI reference"):
        cloud_event(**GOOD | {"source": source})


@pytest.mark.parametrize(
    "source", ["https://a.example/x?y#z", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "/a", "%20"]
)
def test_every_kind_of_uri_reference_is_a_source(source: str) -> None:
    assert cloud_event(**GOOD | {"source": source})["source"] == source
