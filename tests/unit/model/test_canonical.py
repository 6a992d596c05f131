"""The canonical encoding is RFC 8785 on its profile, and refuses whatever lies outside."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from avow import canonical

names = st.text(st.characters(max_codepoint=127), max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]))
profile = st.recursive(
    st.none() | st.booleans() | st.integers(-canonical.INTEGER_MAX, canonical.INTEGER_MAX) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(profile)
def test_the_encoding_is_that_of_the_standard(value: Any) -> None:
    encoded = canonical.encode(value)
    assert encoded == rfc8785.dumps(value) == canonical.encode_trusted(value)
    assert canonical.written(value).encode() == encoded
    assert canonical.decode(encoded) == value


class Word(StrEnum):
    A = "a"


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        2**53,
        -(2**53),
        "\ud800",
        {"\u00e9": 1},
        {1: 2},
        b"x",
        {"a": {1}},
        Word.A,
        MappingProxyType({}),
        type("Thing", (), {"__repr__": lambda _: "a thing"})(),
    ],
    ids=repr,
)
def test_what_lies_outside_the_profile_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        canonical.encode({"member": [value]} if not isinstance(value, dict) else value)


def test_a_leaf_is_hashed_apart_from_other_bytes() -> None:
    assert canonical.leaf_hash(b"x") == canonical.digest(b"\x00x") != canonical.digest(b"x")
    assert len(canonical.leaf_hash(b"")) == canonical.HASH_BYTES
