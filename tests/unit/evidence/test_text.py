"""What is read has one way of being written: canonical JSON as RFC 8785 has it, base64, numbers."""

from __future__ import annotations

import json

import pytest

from avow.evidence.verifier import Invalid, parse_base64, parse_number
from avow.evidence.verifier.text import canonical, parse_object

# RFC 8785, section 3.2.2 and 3.2.4: the example, without its numbers, as entries hold no floating point.
GIVEN = r"""{
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
CANONICAL = r"""{"literals":[null,true,false],"string":"€$\u000f\nA'B\"\\\\\"/"}"""
BYTES = (
    "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c22737472696e67223a22e282ac245c75303030665c6e"
    "4127425c225c5c5c5c5c222f227d"
)


def test_the_example_of_rfc_8785_is_written_as_it_says() -> None:
    assert canonical(json.loads(GIVEN)) == CANONICAL.encode() == bytes.fromhex(BYTES)
    assert parse_object(CANONICAL.encode()) == json.loads(GIVEN)


@pytest.mark.parametrize(
    "text",
    [
        GIVEN, '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a": 1}', '{"a":1}\n', '{"a":1.0}', '{"a":1e2}',
        '{"a":-0}', '{"a":NaN}', '{"a":9007199254740992}', '{"ä":1}', '{"a":"\\u0041"}', '{"a":"\\/"}',
        '{"a":"\\ud800"}', "[1]", "1", "", "{", "[" * 100_000,
    ],
)  # fmt: skip
def test_any_other_json_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_object(text.encode())


@pytest.mark.parametrize("text", ["AA=", "AB==", "AA==\n", " AA==", "A", "AA--", "AA==AA==", "ÄA=="])
def test_base64_is_written_in_one_way(text: str) -> None:
    assert parse_base64("AA==") == b"\0"
    with pytest.raises(Invalid):
        parse_base64(text)


@pytest.mark.parametrize("text", ["", "00", "01", "+1", "-1", " 1", "1.0", "1e3", "٣", "9223372036854775808"])
def test_a_number_is_written_in_one_way(text: str) -> None:
    assert parse_number("9223372036854775807") == 2**63 - 1
    with pytest.raises(Invalid):
        parse_number(text)
