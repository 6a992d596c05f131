"""A server of expenses that wait for people."""

from __future__ import annotations

import pytest

from tests.contract.fix_server import ROOT, Server, StartServer, Tenancy

OFFICE = ROOT / "tests" / "contract" / "systems" / "office.py"


@pytest.fixture(scope="session")
def _office(start_server: StartServer) -> Server:
    return start_server(OFFICE)


@pytest.fixture
def office(_office: Server) -> Tenancy:
    """A system whose commands stand in inboxes, in a tenant of this test's own."""
    return _office.tenancy()
