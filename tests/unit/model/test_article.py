"""Names with their articles."""

from __future__ import annotations

import pytest

from avow.model.article import with_article


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Order", "an Order"), ("Payment", "a Payment"), ("enrollment", "an enrollment"), ("int", "an int"),
        ("UUID", "a UUID"), ("User", "a User"), ("Unit", "a Unit"), ("Upload", "an Upload"),
        ("Euro", "a Euro"), ("Item", "an Item"), ("One", "a One"), ("Utility", "a Utility"),
        ("_", "a _"), ("", "a "),
    ],
)  # fmt: skip
def test_an_article_goes_by_how_a_name_begins(name: str, told: str) -> None:
    assert with_article(name) == told
