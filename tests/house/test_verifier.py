"""Who checks a receipt reads one folder: it needs nothing else of Avow, and little of anybody else."""

from __future__ import annotations

import ast
import sys

from tests.house.tree import modules

FOLDER = "src/avow/evidence/verifier/"
LINES_MAX = 1_200
"""What somebody reads in one sitting who has to be sure."""


def test_the_verifier_imports_itself_the_standard_library_and_cryptography() -> None:
    found: set[str] = set()
    for module in modules("src"):
        if module.place.startswith(FOLDER):
            for node in module.nodes:
                if isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module)
                elif isinstance(node, ast.Import):
                    found |= {name.name for name in node.names}
    foreign = {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("avow.evidence.verifier")} == {
        "cryptography.exceptions",
        "cryptography.hazmat.primitives.asymmetric.ed25519",
    }


def test_the_verifier_can_be_read_in_one_sitting() -> None:
    lines = sum(m.text.count("\n") for m in modules("src") if m.place.startswith(FOLDER))
    assert 0 < lines <= LINES_MAX
