"""What every test of the HTTP contract can ask for; see fix_server.py."""

from __future__ import annotations

import tests.fix_hypothesis  # noqa: F401
from tests.contract.fix_clinic import _clinic, clinic, registry  # noqa: F401
from tests.contract.fix_depot import depot, depot_server  # noqa: F401
from tests.contract.fix_office import _office, office  # noqa: F401
from tests.contract.fix_server import (  # noqa: F401  pytest finds fixtures by their names here
    _enrollment,
    _spare,
    _venue,
    enrollment,
    portal,
    spare,
    start_server,
    venue,
)
from tests.contract.fix_venue import booking, clerk, room  # noqa: F401
from tests.contract.fix_wire import (  # noqa: F401
    fixture_application,
    fixture_client,
    fixture_hasty,
    fixture_hasty_port,
    wire_server,
)
