"""The phases of a run, in their order: each may rest on what those before it have found."""

from __future__ import annotations

from avow.prove.lint import Lint
from avow.prove.model import Model
from avow.prove.phase import Phase

PHASES: tuple[Phase, ...] = (Lint(), Model())
