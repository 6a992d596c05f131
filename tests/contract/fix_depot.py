"""A server of a depot, whose outside goes wrong, and what its operators do about it."""

from __future__ import annotations

import pytest

from tests.contract.fix_server import ROOT, Server, StartServer, Tenancy

DEPOT = ROOT / "tests" / "contract" / "systems" / "depot.py"


@pytest.fixture(scope="session")
def depot_server(start_server: StartServer) -> Server:
    """The server itself, for who works on its database as its owner."""
    return start_server(DEPOT)


@pytest.fixture
def depot(depot_server: Server) -> Tenancy:
    """A depot, in a tenant of this test's own."""
    return depot_server.tenancy()
