"""The OpenAPI document is what the server does: schemathesis finds nothing on either system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.contract.fix_server import ROOT, Tenancy

SEED = 20_261_121
EXAMPLES_MAX = 4
RUN_S_MAX = 400
"""A run takes a quarter of a minute of one core; whatever else the machine does is no fault."""
CONFIG = f"""
seed = {SEED}

[generation]
deterministic = true
max-examples = {EXAMPLES_MAX}
database = "none"

# Replaced by a stricter one in conformance_hooks.py, which looks at the code of each refusal.
[checks.positive_data_acceptance]
enabled = false
"""


def run(tenancy: Tenancy, token: str | None, folder: Path) -> tuple[int, str]:
    """One run of schemathesis; its exit code and what it said."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    tool = Path(sys.executable).parent / "st"
    command = [
        tool, "--config-file", config, "run", "--no-color", "--no-shrink",
        "--header", f"Authorization: Bearer {token}", f"{tenancy.server.url}/openapi.json",
    ]  # fmt: skip
    hooks = {"SCHEMATHESIS_HOOKS": "tests.contract.conformance_hooks", "PYTHONPATH": str(ROOT)}
    # What Hypothesis works out of all of Unicode takes longer than a run; it is the same for each.
    environment = {**os.environ, **hooks, "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".avow" / "hypothesis")}
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_the_venue_is_as_documented(venue: Tenancy, tmp_path: Path) -> None:
    code, said = run(venue, venue.actor("ann", "clerk", "manager").token, tmp_path)
    assert code == 0, said


def test_the_enrollment_example_is_as_documented(enrollment: Tenancy, tmp_path: Path) -> None:
    code, said = run(enrollment, enrollment.actor("ann", "registrar", "dean").token, tmp_path)
    assert code == 0, said
