"""The door reads JSON as RFC 8259 has it, refuses what two readers could differ on, and echoes nothing.

The cases restate the classification of the public JSON parsing suites: `y` must be read, `n` must be
refused, `i` is left to the implementation, and ours is written down here.
"""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.api import json_text
from avow.errors import ProblemError

READ: dict[str, tuple[bytes, Any]] = {
    "array_arrays_with_spaces": (b"[[]   ]", [[]]),
    "array_empty_string": (b'[""]', [""]),
    "array_empty": (b"[]", []),
    "array_ending_with_newline": (b'["a"]\n', ["a"]),
    "array_false": (b"[false]", [False]),
    "array_heterogeneous": (b'[null, 1, "1", {}]', [None, 1, "1", {}]),
    "array_null": (b"[null]", [None]),
    "array_with_1_and_newline": (b"[1\n]", [1]),
    "array_with_leading_space": (b" [1]", [1]),
    "array_with_several_null": (b"[1,null,null,null,2]", [1, None, None, None, 2]),
    "array_with_trailing_space": (b"[2] ", [2]),
    "number_0e_plus_1": (b"[0e+1]", [Decimal("0e1")]),
    "number_0e1": (b"[0e1]", [Decimal("0e1")]),
    "number_after_space": (b"[ 4]", [4]),
    "number_close_to_zero": (b"[-0." + b"0" * 77 + b"1]", [Decimal("-1e-78")]),
    "number_int_with_exp": (b"[20e1]", [Decimal(200)]),
    "number_minus_zero": (b"[-0]", [0]),
    "number_negative_int": (b"[-123]", [-123]),
    "number_negative_one": (b"[-1]", [-1]),
    "number_real_capital_e": (b"[1E22]", [Decimal("1e22")]),
    "number_real_capital_e_neg_exp": (b"[1E-2]", [Decimal("0.01")]),
    "number_real_capital_e_pos_exp": (b"[1E+2]", [Decimal(100)]),
    "number_real_exponent": (b"[123e45]", [Decimal("123e45")]),
    "number_real_fraction_exponent": (b"[123.456e78]", [Decimal("123.456e78")]),
    "number_real_neg_exp": (b"[1e-2]", [Decimal("0.01")]),
    "number_simple_int": (b"[123]", [123]),
    "number_simple_real": (b"[123.456789]", [Decimal("123.456789")]),
    "object": (b'{"asd":"sdf", "dfg":"fgh"}', {"asd": "sdf", "dfg": "fgh"}),
    "object_basic": (b'{"asd":"sdf"}', {"asd": "sdf"}),
    "object_empty": (b"{}", {}),
    "object_empty_key": (b'{"":0}', {"": 0}),
    "object_escaped_null_in_key": (b'{"foo\\u0000bar": 42}', {"foo\x00bar": 42}),
    "object_long_strings": (b'{"x":"' + b"x" * 100 + b'"}', {"x": "x" * 100}),
    "object_string_unicode": (b'{"t":"\\u041f\\u043e"}', {"t": "По"}),
    "object_with_newlines": (b'{\n"a": "b"\n}', {"a": "b"}),
    "string_accepted_surrogate_pair": (b'["\\uD801\\udc37"]', ["\U00010437"]),
    "string_accepted_surrogate_pairs": (b'["\\ud83d\\ude39\\ud83d\\udc8d"]', ["\U0001f639\U0001f48d"]),
    "string_allowed_escapes": (b'["\\"\\\\\\/\\b\\f\\n\\r\\t"]', ['"\\/\b\f\n\r\t']),
    "string_backslash_and_u_escaped_zero": (b'["\\\\u0000"]', ["\\u0000"]),
    "string_backslash_and_escaped_surrogate": (b'["\\\\ud800"]', ["\\ud800"]),
    "string_backslash_doublequotes": (b'["\\""]', ['"']),
    "string_comments": (b'["a/*b*/c/*d//e"]', ["a/*b*/c/*d//e"]),
    "string_double_escape_a": (b'["\\\\a"]', ["\\a"]),
    "string_escaped_control_character": (b'["\\u0012"]', ["\x12"]),
    "string_escaped_noncharacter": (b'["\\uFFFF"]', ["\uffff"]),
    "string_in_array": (b'["asd"]', ["asd"]),
    "string_last_surrogates_1_and_2": (b'["\\uDBFF\\uDFFF"]', ["\U0010ffff"]),
    "string_nbsp_uescaped": (b'["new\\u00A0line"]', ["new\u00a0line"]),
    "string_noncharacter_utf8": (b'["\xf4\x8f\xbf\xbf"]', ["\U0010ffff"]),
    "string_null_escape": (b'["\\u0000"]', ["\x00"]),
    "string_one_byte_utf8": (b'["\\u002c"]', [","]),
    "string_pi": (b'["\xcf\x80"]', ["π"]),
    "string_reserved_character_utf8": (b'["\xf0\x9b\xbf\xbf"]', ["\U0001bfff"]),
    "string_simple_ascii": (b'["asd "]', ["asd "]),
    "string_space": (b'" "', " "),
    "string_three_byte_utf8": (b'["\\u0821"]', ["\u0821"]),
    "string_two_byte_utf8": (b'["\\u0123"]', ["\u0123"]),
    "string_u2028_line_separator": (b'["\xe2\x80\xa8"]', ["\u2028"]),
    "string_u2029_paragraph_separator": (b'["\xe2\x80\xa9"]', ["\u2029"]),
    "string_unescaped_del": (b'["\x7f"]', ["\x7f"]),
    "string_unicode_escaped_double_quote": (b'["\\u0022"]', ['"']),
    "string_utf8": (b'["\xe2\x82\xac\xf0\x9d\x84\x9e"]', ["€\U0001d11e"]),
    "structure_lonely_false": (b"false", False),
    "structure_lonely_int": (b"42", 42),
    "structure_lonely_negative_real": (b"-0.1", Decimal("-0.1")),
    "structure_lonely_null": (b"null", None),
    "structure_lonely_string": (b'"asd"', "asd"),
    "structure_lonely_true": (b"true", True),
    "structure_string_empty": (b'""', ""),
    "structure_whitespace_array": (b" [] ", []),
    "structure_all_whitespace": (b"\t\r\n []\t\r\n ", []),
    # Left to the implementation by RFC 8259; we read them.
    "i_number_very_big_int": (b"[" + b"9" * 100 + b"]", [int("9" * 100)]),
    "i_number_real_underflow": (b"[123e-400]", [Decimal("123e-400")]),
    "i_string_noncharacter_u1fffe": (b'["\\uD83F\\uDFFE"]', ["\U0001fffe"]),
    "i_brackets_in_strings_are_not_depth": (b'["' + b"[{" * 200 + b'"]', ["[{" * 200]),
    "i_many_shallow_arrays": (b"[" + b"[]," * 99 + b"[]]", [[]] * 100),
}

REFUSED: dict[str, bytes] = {
    "array_1_true_without_comma": b"[1 true]",
    "array_a_invalid_utf8": b"[a\xe5]",
    "array_colon_instead_of_comma": b'["": 1]',
    "array_comma_after_close": b'[""],',
    "array_comma_and_number": b"[,1]",
    "array_double_comma": b"[1,,2]",
    "array_double_extra_comma": b'["x",,]',
    "array_extra_close": b'["x"]]',
    "array_extra_comma": b'["",]',
    "array_incomplete": b'["x"',
    "array_incomplete_invalid_value": b"[x",
    "array_inner_array_no_comma": b"[3[4]]",
    "array_invalid_utf8": b"[\xff]",
    "array_items_separated_by_semicolon": b"[1:2]",
    "array_just_comma": b"[,]",
    "array_just_minus": b"[-]",
    "array_missing_value": b'[   , ""]',
    "array_newlines_unclosed": b'["a",\n4\n,1,',
    "array_number_and_several_commas": b"[1,,]",
    "array_spaces_vertical_tab_formfeed": b'["\x0ba"\\f]',
    "array_star_inside": b"[*]",
    "array_unclosed": b'[""',
    "array_unclosed_trailing_comma": b"[1,",
    "array_unclosed_with_object_inside": b"[{}",
    "incomplete_false": b"[fals]",
    "incomplete_null": b"[nul]",
    "incomplete_true": b"[tru]",
    "multidigit_number_then_00": b"123\x00",
    "number_double_minus": b"[--1]",
    "number_plus_plus": b"[++1234]",
    "number_plus_1": b"[+1]",
    "number_minus_01": b"[-01]",
    "number_minus_1.0.": b"[-1.0.]",
    "number_minus_2.": b"[-2.]",
    "number_minus_nan": b"[-NaN]",
    "number_dot_minus_1": b"[.-1]",
    "number_dot_2e-3": b"[.2e-3]",
    "number_0.1.2": b"[0.1.2]",
    "number_0.3e": b"[0.3e]",
    "number_0.3e+": b"[0.3e+]",
    "number_0.e1": b"[0.e1]",
    "number_0_capital_e+": b"[0E+]",
    "number_0e": b"[0e]",
    "number_1.0e-": b"[1.0e-]",
    "number_1_000": b"[1 000.0]",
    "number_1_underscore": b"[1_0]",
    "number_1eE2": b"[1eE2]",
    "number_2.e3": b"[2.e3]",
    "number_9.e+": b"[9.e+]",
    "number_inf": b"[Inf]",
    "number_nan": b"[NaN]",
    "number_infinity": b"[Infinity]",
    "number_minus_infinity": b"[-Infinity]",
    "number_minus_foo": b"[-foo]",
    "number_minus_space_1": b"[- 1]",
    "number_u_ff11_fullwidth_digit_one": b"[\xef\xbc\x91]",
    "number_arabic_digit": "[٣]".encode(),
    "number_expression": b"[1+2]",
    "number_hex_1_digit": b"[0x1]",
    "number_hex_2_digits": b"[0x42]",
    "number_invalid_utf8_after": b"[123\xe5]",
    "number_neg_int_starting_with_zero": b"[-012]",
    "number_neg_real_without_int_part": b"[-.123]",
    "number_real_garbage_after_e": b"[1ea]",
    "number_real_without_fractional_part": b"[1.]",
    "number_starting_with_dot": b"[.123]",
    "number_with_alpha": b"[1.2a-3]",
    "number_with_leading_zero": b"[012]",
    "object_bad_value": b'["x", truth]',
    "object_bracket_key": b'{[: "x"}\n',
    "object_comma_instead_of_colon": b'{"x", null}',
    "object_double_colon": b'{"x"::"b"}',
    "object_emoji": b"{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}",
    "object_garbage_at_end": b'{"a":"a" 123}',
    "object_key_with_single_quotes": b"{key: 'value'}",
    "object_missing_colon": b'{"a" b}',
    "object_missing_key": b'{:"b"}',
    "object_missing_value": b'{"a":',
    "object_no_colon": b'{"a"',
    "object_non_string_key": b"{1:1}",
    "object_repeated_null_null": b"{null:null,null:null}",
    "object_several_trailing_commas": b'{"id":0,,,,,}',
    "object_single_quote": b"{'a':0}",
    "object_trailing_comma": b'{"id":0,}',
    "object_trailing_comment": b'{"a":"b"}/**/',
    "object_trailing_comment_slash": b'{"a":"b"}//',
    "object_two_commas_in_a_row": b'{"a":"b",,"c":"d"}',
    "object_unquoted_key": b'{a: "b"}',
    "object_unterminated_value": b'{"a":"a',
    "object_with_trailing_garbage": b'{"a":"b"}#',
    "single_space": b" ",
    "string_1_surrogate_then_escape": b'["\\uD800\\"]',
    "string_1_surrogate_then_escape_u": b'["\\uD800\\u"]',
    "string_1_surrogate_then_escape_u1x": b'["\\uD800\\u1x"]',
    "string_accentuated_char_no_quotes": b"[\xc3\xa9]",
    "string_backslash_00": b'["\\\x00"]',
    "string_escape_x": b'["\\x00"]',
    "string_escaped_backslash_bad": b'["\\\\\\"]',
    "string_escaped_ctrl_char_tab": b'["\\\t"]',
    "string_escaped_emoji": b'["\\\xf0\x9f\x8c\x80"]',
    "string_incomplete_escape": b'["\\"]',
    "string_incomplete_escaped_character": b'["\\u00A"]',
    "string_incomplete_surrogate": b'["\\uD834\\uDd"]',
    "string_invalid_backslash_esc": b'["\\a"]',
    "string_invalid_unicode_escape": b'["\\uqqqq"]',
    "string_unicode_escape_with_space": b'["\\u 123"]',
    "string_unicode_escape_with_sign": b'["\\u+123"]',
    "string_leading_uescaped_thinspace": b'[\\u0020"asd"]',
    "string_no_quotes_with_bad_escape": b"[\\n]",
    "string_single_doublequote": b'"',
    "string_single_quote": b"['single quote']",
    "string_single_string_no_double_quotes": b"abc",
    "string_start_escape_unclosed": b'["\\',
    "string_unescaped_ctrl_char": b'["a\x00a"]',
    "string_unescaped_newline": b'["new\nline"]',
    "string_unescaped_tab": b'["\t"]',
    "string_unicode_capital_u": b'"\\UA66D"',
    "string_with_trailing_garbage": b'""x',
    "structure_100000_opening_arrays": b"[" * 100_000,
    "structure_100000_opening_objects": b'{"":' * 100_000,
    "structure_100000_nested_arrays": b"[" * 100_000 + b"]" * 100_000,
    "structure_closes_then_opens": b"]" * 100_000 + b"[" * 100_000,
    "structure_angle_bracket_null": b"[<null>]",
    "structure_array_trailing_garbage": b"[1]x",
    "structure_capitalized_true": b"[True]",
    "structure_close_unopened_array": b"1]",
    "structure_comma_instead_of_closing_brace": b'{"x": true,',
    "structure_double_array": b"[][]",
    "structure_end_array": b"]",
    "structure_incomplete_utf8_bom": b"\xef\xbb{}",
    "structure_lone_invalid_utf8": b"\xe5",
    "structure_no_data": b"",
    "structure_null_byte_outside_string": b"[\x00]",
    "structure_object_followed_by_closing_object": b"{}}",
    "structure_object_unclosed_no_value": b'{"":',
    "structure_object_with_comment": b'{"a":/*comment*/"b"}',
    "structure_open_array_apostrophe": b"['",
    "structure_open_object_close_array": b"{]",
    "structure_single_star": b"*",
    "structure_u2060_word_joined": b"[\xe2\x81\xa0]",
    "structure_unicode_identifier": b"\xc3\xa5",
    "structure_utf8_bom_no_data": b"\xef\xbb\xbf",
    "structure_whitespace_u2060": b"[\xe2\x81\xa0]",
    "structure_whitespace_nbsp": b"\xc2\xa0[]",
    "structure_whitespace_formfeed": b"[\x0c]",
    # Left to the implementation (or even `y`); we refuse them.
    "y_object_duplicated_key": b'{"a":"b","a":"c"}',
    "y_object_duplicated_key_and_value": b'{"a":"b","a":"b"}',
    "object_duplicated_key_by_escape": b'{"a":1,"\\u0061":2}',
    "object_duplicated_key_deep": b'{"x":[{"y":1},{"z":1,"z":2}]}',
    "i_number_neg_exp_huge": b"[123.456e-789]",
    "i_number_double_huge_neg_exp": b"[123.456e-99999]",
    "i_number_huge_exp": b"[0.4e0066999999999999999999999999999]",
    "i_number_real_pos_overflow": b"[123123e100000]",
    "i_number_real_neg_overflow": b"[-123123e100000]",
    "i_number_5000_digits": b"[" + b"9" * 5000 + b"]",
    "i_number_5000_fraction_digits": b"[0." + b"9" * 5000 + b"]",
    "i_object_key_lone_2nd_surrogate": b'{"\\uDFAA":0}',
    "i_string_1st_surrogate_but_2nd_missing": b'["\\uDADA"]',
    "i_string_1st_valid_surrogate_2nd_invalid": b'["\\uD888\\u1234"]',
    "i_string_incomplete_surrogate_and_escape": b'["\\uD800\\n"]',
    "i_string_incomplete_surrogate_pair": b'["\\uDd1ea"]',
    "i_string_incomplete_surrogates_escape": b'["\\uD800\\uD800\\n"]',
    "i_string_invalid_lonely_surrogate": b'["\\ud800"]',
    "i_string_invalid_surrogate": b'["\\ud800abc"]',
    "i_string_inverted_surrogates": b'["\\uDd1e\\uD834"]',
    "i_string_lone_second_surrogate": b'["\\uDFAA"]',
    "i_string_invalid_utf8": b'["\xff"]',
    "i_string_iso_latin_1": b'["\xe9"]',
    "i_string_lone_utf8_continuation": b'["\x81"]',
    "i_string_not_in_unicode_range": b'["\xf4\xbf\xbf\xbf"]',
    "i_string_overlong_2_bytes": b'["\xc0\xaf"]',
    "i_string_overlong_6_bytes": b'["\xfc\x83\xbf\xbf\xbf\xbf"]',
    "i_string_truncated_utf8": b'["\xe0\xff"]',
    "i_string_utf8_surrogate": b'["\xed\xa0\x80"]',
    "i_string_utf16le_with_bom": '\ufeff["é"]'.encode("utf-16-le"),
    "i_string_utf16be_no_bom": '["é"]'.encode("utf-16-be"),
    "i_string_utf16le_no_bom": '["é"]'.encode("utf-16-le"),
    "i_string_utf32": '["é"]'.encode("utf-32"),
    "i_structure_utf8_bom_empty_object": b"\xef\xbb\xbf{}",
    "i_structure_500_nested_arrays": b"[" * 500 + b"]" * 500,
    "i_structure_33_nested_arrays": b"[" * 33 + b"]" * 33,
}


def _refusal(raw: bytes) -> dict[str, Any]:
    with pytest.raises(ProblemError) as caught:
        json_text.loads(raw)
    assert caught.value.problem.code == "json-invalid"
    return {"detail": caught.value.problem.detail, **caught.value.problem.extra}


@pytest.mark.parametrize("name", READ)
def test_reads_what_json_allows(name: str) -> None:
    raw, expected = READ[name]
    assert json_text.loads(raw) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_json_forbids_or_readers_differ_on(name: str) -> None:
    _refusal(REFUSED[name])


def test_never_makes_a_binary_float() -> None:
    assert json_text.loads(b"[0.1, 1e2, -0.0, 1E-7]") == [
        Decimal("0.1"),
        Decimal("1e2"),
        Decimal("-0.0"),
        Decimal("1E-7"),
    ]
    assert isinstance(json_text.loads(b"0.0"), Decimal)


def test_depth_is_bounded_at_the_stated_limit() -> None:
    raw = b"[" * json_text.DEPTH_MAX + b"]" * json_text.DEPTH_MAX
    json_text.loads(raw)
    assert _refusal(b"[" + raw + b"]")["errors"][0]["code"] == "depth"
    text_and_depth = b'{"\\"[[[":' * 32 + b'"]]]"' + b"}" * 32
    json_text.loads(text_and_depth)


def test_a_fault_of_syntax_names_line_and_column() -> None:
    refusal = _refusal(b'{"a": 1,\n "b": x}')
    assert (refusal["line"], refusal["column"]) == (2, 7)


@pytest.mark.parametrize(
    ("raw", "pointer", "code"),
    [
        (b'{"items":[{"a":1},{"a":1,"a":2}]}', "#/items/1/a", "duplicate"),
        (b'{"a":{"b":[0,NaN]}}', "#/a/b/1", "number"),
        (b'{"a":1' + b"0" * 200 + b"}", "#/a", "number"),
        (b'{"a":["\\ud800"]}', "#/a/0", "surrogate"),
        (b'{"a":{"\\ud800":1}}', "#/a", "surrogate"),
        (b'{"a":{"<script>":1,"<script>":2}}', "#/a", "duplicate"),
        (b'{"' + b"k" * 65 + b'":1,"' + b"k" * 65 + b'":1}', "#", "duplicate"),
        (b'{"a":[NaN],"b":1,"b":2}', "#/a/0", "number"),
    ],
)
def test_a_refused_value_is_named_by_pointer(raw: bytes, pointer: str, code: str) -> None:
    error = _refusal(raw)["errors"][0]
    assert (error["pointer"], error["code"]) == (pointer, code)


def test_a_refusal_never_repeats_a_value() -> None:
    """Each refused body is given a secret; no answer holds it."""
    for raw in (
        b'{"password":"hunter2","password":"hunter2"}',
        b'{"password":"hunter2\\ud800"}',
        b'{"password":"hunter2\\q"}',
        b'["hunter2',
        b'{"password":hunter2}',
        b'{"hunter2 ":1,"hunter2 ":2}',
        b'["hunter2", NaN]',
    ):
        assert "hunter2" not in json.dumps(_refusal(raw)), raw


def test_nul_passes_and_can_be_found() -> None:
    value = json_text.loads(b'{"a":[1,{"b":"x\\u0000"}]}')
    assert json_text.path_of_nul(value) == ("a", 1, "b")
    assert json_text.path_of_nul(json_text.loads(b'{"a\\u0000":1}')) == ("a\x00",)
    assert json_text.path_of_nul(json_text.loads(b'{"a":"\\\\u0000"}')) is None


def test_a_pointer_escapes_nothing_hostile_into_an_answer() -> None:
    assert json_text.pointer(("items", 0, "quantity")) == "#/items/0/quantity"
    assert json_text.pointer(("a", "x\r\ny", "b")) == "#/a"
    assert json_text.pointer(()) == "#"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**100), max_value=10**100)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def _write(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_write(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


@given(values)
def test_reads_back_whatever_json_can_write(value: Any) -> None:
    assert json_text.loads(_write(value).encode()) == value


json_like = st.lists(
    st.sampled_from(
        [
            *(b'"', b"\\", b"\\u", b"d800", b"{", b"}", b"[", b"]", b":", b",", b"1", b"-", b".", b"e9"),
            *(b"NaN", b"a", b" ", b"\xff", b"\x00", b"\xef\xbb\xbf", b"true", b"null", b'"a":1', b"9" * 200),
        ]
    )
).map(b"".join)


@given(st.binary() | json_like)
def test_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    """An answer agrees with the standard library's; any exception but ours fails the test."""
    with contextlib.suppress(ProblemError):
        assert json_text.loads(raw) == json.loads(raw.decode("utf-8"), parse_float=Decimal)


@pytest.mark.parametrize(
    "raw", [b'"' + b'\\"' * 300_000, b'["\\' * 200_000, b"[" + b'"",[],' * 100_000, b"\\" * 500_000]
)
def test_a_hostile_body_costs_time_linear_in_its_length(raw: bytes) -> None:
    """Half a megabyte of quotes and brackets would take minutes if a string were scanned twice over."""
    with pytest.raises(ProblemError):
        json_text.loads(b"[" * 40 + raw)
