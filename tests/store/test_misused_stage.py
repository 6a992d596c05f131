"""A test of an application that gives something wrong is told what, in its own words."""

from __future__ import annotations

import pytest

from avow.cli.target import load_target
from avow.testing import Provider
from avow.testing.client import ControlError
from avow.testing.staging import Refused, stage
from tests.acceptance.command_line import ROOT


async def test_what_was_given_wrong_is_named() -> None:
    async with stage(load_target(str(ROOT / "examples" / "enrollment"))) as on:
        ann = on.as_("ann", "registrar")
        with pytest.raises(LookupError, match=r"no command Course.anounce; did you mean Course.announce\?"):
            ann.request("Course.anounce")
        with pytest.raises(ValueError, match=r"Enrollment\.approve is given to a record"):
            ann.request("Enrollment.approve")
        with pytest.raises(Refused, match=r"input-invalid: .* #/title: "):
            await ann.do("Course.announce", title=1, seats=1)


def test_a_rule_for_what_never_arrives_is_refused() -> None:
    with Provider() as provider:
        with pytest.raises(ControlError, match="'authorise' is none of authorize, capture"):
            provider.lose_reply("payment", "authorise")
        with pytest.raises(ControlError, match="'paymnet' is none of"):
            provider.lose_reply("paymnet")
        provider.lose_reply("payment", "authorize")
        provider.duplicate()
