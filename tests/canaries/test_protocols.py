"""The engine's own protocols hold in every order of their statements, and their broken variants don't."""

from __future__ import annotations

import pytest

from avow.prove.databases import Databases
from avow.prove.defect import NONE
from avow.prove.protocols import PROTOCOLS, as_defect, explore
from avow.prove.selftest import rig_with

pytestmark = pytest.mark.anyio


IN_SUITE = (PROTOCOLS[0], PROTOCOLS[1], PROTOCOLS[3])
"""Claim, lease and parking; `avow prove` explores all of them in each run."""


async def test_each_protocol_holds_in_every_order_and_no_broken_variant_does(own: Databases) -> None:
    sound = await rig_with(own, NONE)
    for protocol in IN_SUITE:
        explored = await explore(sound, protocol)
        assert explored.wrong == "", (protocol.name, explored)
        assert explored.exhausted, (protocol.name, explored)
        assert explored.orders > 1, (protocol.name, explored)
        for variant in protocol.variants:
            broken = await rig_with(own, as_defect(variant))
            assert (await explore(broken, protocol)).wrong, variant.name
