"""Where the keys of keys are: as it is set, or with `avow dev`; needed only where anything is private."""

from __future__ import annotations

from pathlib import Path

import pytest

from avow.cli.development import private_key
from avow.cli.settings import keyring_of
from avow.engine.privacy import FileKeyring, MemoryKeyring
from avow.errors import EnvironmentFault, UsageError
from examples.enrollment.system import app as enrollment
from tests.contract.systems.clinic import app as clinic

keyring = MemoryKeyring()


def test_a_system_in_which_nothing_is_private_needs_no_key(tmp_path: Path) -> None:
    assert keyring_of(enrollment, "") is None
    assert private_key(enrollment, tmp_path) is None
    assert [*tmp_path.iterdir()] == []


def test_a_system_with_private_fields_is_not_served_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="AVOW_PRIVATE_KEY"):
        keyring_of(clinic, "")
    with pytest.raises(EnvironmentFault, match="can't be used"):
        keyring_of(clinic, str(tmp_path / "nowhere"))


def test_development_makes_a_key_at_the_first_start_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVOW_PRIVATE_KEY", raising=False)
    first = private_key(clinic, tmp_path)
    assert first == private_key(clinic, tmp_path) == str(tmp_path / "private.keys")
    assert isinstance(keyring_of(clinic, first), FileKeyring)
    monkeypatch.setenv("AVOW_PRIVATE_KEY", "mine:keyring")
    assert private_key(clinic, tmp_path) == "mine:keyring"


def test_a_keyring_of_the_owners_own_is_imported() -> None:
    assert keyring_of(clinic, f"{__name__}:keyring") is keyring
    for place in (f"{__name__}:nothing", "no.such.module:keyring", "os:path", f"{__name__}:pytest"):
        with pytest.raises(UsageError, match="AVOW_PRIVATE_KEY"):
            keyring_of(clinic, place)
