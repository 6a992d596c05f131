"""The phases of a run, in their order: each may rest on what those before it have found."""

from __future__ import annotations

from avow.prove.conform import Conform
from avow.prove.crash import Crash
from avow.prove.deadlines import Deadlines
from avow.prove.effects import Effects
from avow.prove.escape import Escape
from avow.prove.functions import Functions
from avow.prove.lint import Lint
from avow.prove.messages import Messages
from avow.prove.model import Model
from avow.prove.phase import Phase
from avow.prove.protocols.phase import Protocols
from avow.prove.race import Race
from avow.prove.selftest import SelfTest

PHASES: tuple[Phase, ...] = (
    Lint(), Model(), Escape(), Conform(), Crash(), Race(), Effects(), Functions(), Messages(), Deadlines(),
    Protocols(), SelfTest(),
)  # fmt: skip
