"""Every problem is an RFC 9457 document whose type resolves, and nothing else gets into it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from avow.api import problems
from avow.errors import PROBLEMS, Kind, Problem, reject

REQUEST_ID = "0197a2b4-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


def _headers(answer: problems.Answer) -> dict[str, str]:
    assert len({name for name, _ in answer.headers}) == len(answer.headers)
    return {name.decode(): value.decode() for name, value in answer.headers}


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_is_a_problem_document_and_its_type_resolves(code: str) -> None:
    answer = problems.answer(Problem(code, "Something happened."), REQUEST_ID, "/mounted")
    body: dict[str, Any] = json.loads(answer.body)
    row = PROBLEMS[code]
    assert body == {
        "type": f"/mounted/problems/{code}",
        "title": row.title,
        "status": row.status,
        "detail": "Something happened.",
        "instance": f"urn:uuid:{REQUEST_ID}",
        "request_id": REQUEST_ID,
        "mend": row.mend,
        "retryable": row.kind is Kind.TRY_AGAIN,
    }
    sent = _headers(answer)
    assert answer.status == row.status
    assert sent["content-type"] == "application/problem+json"
    assert sent["cache-control"] == "no-store"
    assert sent["x-request-id"] == REQUEST_ID
    assert int(sent["content-length"]) == len(answer.body)
    page = problems.document(code)
    assert page is not None
    assert row.mend in page.body.decode()
    data = problems.document(code, as_json=True)
    assert data is not None
    assert json.loads(data.body)["mend"] == row.mend


@pytest.mark.parametrize("code", PROBLEMS)
def test_retryable_agrees_with_retry_after(code: str) -> None:
    answer = problems.answer(Problem(code), REQUEST_ID)
    body: dict[str, Any] = json.loads(answer.body)
    assert ("retry-after" in _headers(answer)) == body["retryable"]
    assert (answer.status == 503) <= body["retryable"]


def test_every_401_challenges() -> None:
    answer = problems.answer(Problem("unauthenticated"), REQUEST_ID)
    assert _headers(answer)["www-authenticate"] == 'Bearer realm="avow", error="invalid_token"'
    bare = problems.answer_error(problems.no_credential(), REQUEST_ID)
    assert _headers(bare)["www-authenticate"] == 'Bearer realm="avow"'


def test_headers_of_the_occurrence_win() -> None:
    answer = problems.answer(Problem("busy"), REQUEST_ID, headers={"Retry-After": "7"})
    assert _headers(answer)["retry-after"] == "7"


def test_extra_members_are_sent_and_cannot_replace_ours() -> None:
    error = reject("guard-failed", "No.", rule="seats", status=200, type="x", request_id="y", detail="z")
    body: dict[str, Any] = json.loads(problems.answer_error(error, REQUEST_ID).body)
    assert (body["rule"], body["status"], body["request_id"], body["detail"]) == (
        "seats",
        409,
        REQUEST_ID,
        "No.",
    )
    assert body["type"] == "/problems/guard-failed"


def test_a_lone_surrogate_in_a_member_does_not_break_the_answer() -> None:
    body = problems.answer(Problem("refused", "\ud800"), REQUEST_ID).body
    assert json.loads(body)["detail"] == "\ud800"


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\x00", "é", "a\x7f"])
def test_a_line_break_can_never_be_sent_in_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        problems.answer(Problem("busy"), REQUEST_ID, headers={"x-echo": value})
    with pytest.raises(ValueError, match="cannot be sent"):
        problems.answer(Problem("busy"), value)
    with pytest.raises(ValueError, match="cannot be sent"):
        problems.encode_header(value, "x")


def test_an_unknown_problem_has_no_page() -> None:
    assert problems.document("nothing-like-this") is None
    assert problems.document("../x") is None
