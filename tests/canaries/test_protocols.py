"""The engine's own protocols hold in every order of their statements, and their broken variants don't."""

from __future__ import annotations

import pytest

from avow.prove.databases import Databases
from avow.prove.defect import NONE
from avow.prove.protocols.phase import PROTOCOLS, explore_broken
from avow.prove.protocols.protocol import explore
from avow.prove.selftest import rig_with

pytestmark = pytest.mark.anyio


IN_SUITE = frozenset({
    "two workers claim one call",
    "a lease runs out while its worker still works",
    "a time comes while its state is left",
    "an event arrives while its record is created",
    "events are told while others are written",
    "two tell of one record",
    "a sealer dies wherever it stands",
})  # fmt: skip
"""Of each kind the cheapest; `avow prove` explores all of them in each run, `--replays 100` here."""


async def test_each_protocol_holds_in_every_order_and_no_broken_variant_does(
    own: Databases, thorough: bool
) -> None:
    sound = await rig_with(own, NONE)
    known = {protocol.name: protocol for protocol in PROTOCOLS}
    assert known.keys() >= IN_SUITE
    for protocol in (protocol for name, protocol in known.items() if thorough or name in IN_SUITE):
        explored = await explore(sound, protocol)
        assert explored.wrong == "", (protocol.name, explored)
        assert explored.exhausted, (protocol.name, explored)
        assert explored.orders > 1, (protocol.name, explored)
        for variant in protocol.variants:
            assert (await explore_broken(own, protocol, variant)).wrong, variant.name
