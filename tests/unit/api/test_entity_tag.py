"""Entity tags name a record and a version; conditions compare them as RFC 9110 says."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.api.entity_tag import TAGS_MAX, Condition, etag, read_condition, read_etag

ID = UUID("0197a2b4-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
TAG = etag(ID, 7)


@given(st.uuids(), st.integers(min_value=0, max_value=2**63 - 1))
def test_a_tag_reads_back(entity_id: UUID, version: int) -> None:
    assert read_etag(etag(entity_id, version)) == (entity_id, version)
    tag = etag(entity_id, version)
    assert read_condition(tag.encode()) == Condition(strong=frozenset({tag}))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "*",
            f"W/{TAG}",
            TAG.strip('"'),
            TAG.upper(),
            f'"{ID}.07"',
            f'"{ID}.-1"',
            f'"{ID}.1_0"',
            f'"{ID}"',
        ),
        *(f'"{ID}.9223372036854775808"', f'"{ID.hex}.1"', f'"{ID}.٣"', TAG + "\n"),
    ],
)
def test_another_spelling_of_a_tag_is_no_tag_of_ours(text: str) -> None:
    assert read_etag(text) is None


def test_strong_comparison_never_matches_a_weak_tag() -> None:
    condition = read_condition(b"W/" + TAG.encode())
    assert not condition.matches_strong(TAG)
    assert condition.matches_weak(TAG)


def test_a_star_matches_every_record_and_no_absent_one() -> None:
    star = read_condition(b" * ")
    assert star.matches_strong(TAG)
    assert star.matches_weak(TAG)
    assert not star.matches_strong(None)
    assert not star.matches_weak(None)


def test_a_list_matches_if_one_of_its_tags_does() -> None:
    condition = read_condition(b', "a",W/"b" ,,\t"c,d" , "" ,')
    assert condition == Condition(strong=frozenset({'"a"', '"c,d"', '""'}), weak=frozenset({'"b"'}))
    assert condition.matches_strong('"c,d"')
    assert not condition.matches_strong('"b"')
    assert condition.matches_weak('"b"')
    assert not condition.matches_weak('"d"')


@pytest.mark.parametrize(
    "value",
    [b"", b",", b"a", b'"a', b'a"', b'"a" "b"', b'"a"x', b"*,*", b'*, "a"', b'w/"a"', b'"a b"', b'"a\x00"'],
)
def test_what_is_no_list_of_tags_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="tag"):
        read_condition(value)


def test_the_number_of_tags_is_bounded() -> None:
    tags = [b'"%d"' % n for n in range(TAGS_MAX)]
    read_condition(b",".join(tags))
    with pytest.raises(ValueError, match="more than"):
        read_condition(b",".join([*tags, b'"x"']))
