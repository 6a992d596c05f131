"""Values planted where something is private, and where they stand afterwards, in clear or merely encoded."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator

TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema') AND c.relkind IN ('r', 'm')
ORDER BY 1
"""
"""Every table of every schema, also those that nobody has thought of yet."""


def rows_of(table: str) -> str:
    """The statement that gives every row of a table as COPY would write it."""
    return f"SELECT t::text FROM {table} AS t"


def forms(text: str) -> Iterator[bytes]:
    """A text as it is and in base64, at each of its three places there; all of it in hexadecimal, too."""
    plain = text.encode()
    found = {plain}
    for skipped in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            encoded = encode(bytes(skipped) + plain)
            found.add(encoded[4 if skipped else 0 : -4])
    yield from found
    yield from (form.hex().encode() for form in found)


def places(haystacks: Iterable[tuple[str, bytes]], planted: Iterable[str]) -> list[str]:
    """The names of the haystacks that have any of what was planted."""
    needles = [form for text in planted for form in forms(text)]
    return [name for name, data in haystacks if any(needle in data for needle in needles)]
