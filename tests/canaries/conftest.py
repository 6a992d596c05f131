"""Canaries on the real engine begin with a rig. `--replays N`: how often each schedule is done again."""

from __future__ import annotations

import pytest

from tests.canaries.fix_rig import on, own

__all__ = ["on", "own"]

REPLAYS_IN_SUITE = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--replays", type=int, default=REPLAYS_IN_SUITE,
        help="how often each schedule is replayed; with more than usual, of every planted defect",
    )  # fmt: skip


@pytest.fixture
def replays(pytestconfig: pytest.Config) -> int:
    """How often each schedule is replayed."""
    return pytestconfig.getoption("--replays")


@pytest.fixture
def thorough(replays: int) -> bool:
    """Whether everything is wanted, and not the slice of it that the suite has time for."""
    return replays > REPLAYS_IN_SUITE
