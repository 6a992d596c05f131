"""What is read has one way of being written: canonical JSON as RFC 8785 has it, base64, numbers."""

from __future__ import annotations

import json
import struct

import pytest
import rfc8785

from avow.canonical import encode
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


# RFC 8785, appendix B: doubles by their bits, and how they are written.
NUMBERS = [
    ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"), ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"), ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"), ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"), ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"), ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"), ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"), ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"), ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"), ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"), ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_of_the_numbers_of_rfc_8785_only_exact_integers_are_read_or_written(bits: str, text: str) -> None:
    """What the profile leaves out is refused both ways, however well it is written: see canonical.py."""
    [value] = struct.unpack(">d", bytes.fromhex(bits))
    assert rfc8785.dumps(value) == text.encode()
    with pytest.raises(ValueError, match="outside the canonical profile"):
        encode(value)
    with pytest.raises(Invalid):
        canonical(value)
    data = f'{{"a":{text}}}'.encode()
    if text == "0":
        assert parse_object(data) == {"a": 0}
    else:
        with pytest.raises(Invalid):
            parse_object(data)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "9007199254740992", "-9007199254740992"])
def test_what_rfc_8785_forbids_or_the_profile_has_no_room_for_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_object(f'{{"a":{text}}}'.encode())
    with pytest.raises(ValueError, match="outside the canonical profile"):
        encode(json.loads(text))


# RFC 8785, section 3.2.3: the example of sorting; and the files of its author's test data
# (cyberphone/json-canonicalization: arrays, structures, unicode) with integers for their doubles.
SORTED = {
    "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
    "\U0001f600": "Emoji: Grinning Face", "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
}  # fmt: skip
CANONICAL_FILES = [
    ('[56, {"d": true, "10": null, "1": []}]', '[56,{"1":[],"10":null,"d":true}]'),
    (
        ('{"1": {"f": {"f": "hi", "F": 5}, "\\n": 56}, "10": {}, "": "empty", "a": {}, '
        '"111": [{"e": "yes", "E": "no"}], "A": {}}'),
        '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
    ),
    ('{"Unnormalized Unicode": "A\\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'),
]  # fmt: skip


def test_names_are_sorted_as_rfc_8785_says_as_far_as_the_profile_has_them() -> None:
    """Sorting by UTF-16 and by code points differ outside ASCII alone, where the profile has no names."""
    ours = {name: value for name, value in SORTED.items() if name.isascii()}
    assert encode(ours) == canonical(ours) == rfc8785.dumps(ours) == b'{"\\r":"Carriage Return","1":"One"}'
    for name in SORTED.keys() - ours.keys():
        with pytest.raises(ValueError, match="outside the canonical profile"):
            encode({name: ""})
        with pytest.raises(Invalid, match="outside ASCII"):
            parse_object(rfc8785.dumps({name: ""}))


@pytest.mark.parametrize(("given", "expected"), CANONICAL_FILES)
def test_published_files_are_written_as_they_say(given: str, expected: str) -> None:
    value = json.loads(given)
    assert encode(value) == canonical(value) == rfc8785.dumps(value) == expected.encode()


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
