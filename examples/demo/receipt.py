"""What the demo leaves behind: a receipt of something that happened while it was attacked.

It can be checked when the demo, its servers and its database are gone.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from examples.demo.backend import database_of
from examples.demo.declared import ROOT, Declared
from examples.demo.table import quote, say

OUT = ROOT / ".avow" / "out"
QUERY = """
SELECT a.id, h.header ->> 'to' AS state
FROM avow.audit a, LATERAL (SELECT convert_from(a.header, 'UTF8')::json AS header) AS h
WHERE a.kind = 'Enrollment' ORDER BY h.header ->> 'to' = 'approved' DESC, a.entry LIMIT 1
"""
"""An enrollment, and a state that it went into; one that was approved, if there is one."""


def leave(declared: Declared) -> list[str]:
    """Leave a receipt of one enrollment, a page of it, and the log's public key. Gives back what failed."""
    found = asyncio.run(_happened(declared))
    if found is None:
        return []
    record, claim = found
    OUT.mkdir(parents=True, exist_ok=True)
    proof, page, key = (OUT / name for name in ("receipt.tlog-proof", "receipt.html", "log.pub"))
    issue = ["receipt", "issue", record, claim]
    say()
    say(f"enrollment$ avow {' '.join(issue[:3])} '{claim}'")
    issued = declared.avow(*issue, "--out", str(proof), "--page", str(page))
    quote(issued.stdout + issued.stderr)
    if issued.returncode != 0:
        return ["avow receipt issue of enrollment"]
    shutil.copyfile(declared.log_key.with_suffix(".pub"), key)
    say(f"It is in {_short(OUT)}, and outlives this database. Anybody checks it with the log's public key:")
    print(f"    {_short(Path(sys.executable).with_name('avow'))} receipt verify {_short(proof)} \\")
    print(f"        --key {_short(key)}", flush=True)
    return []


def _short(path: Path) -> Path:
    """A path as one types it in the folder of the project."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


async def _happened(declared: Declared) -> tuple[str, str] | None:
    """A record, and what was true of it; None where the attacks left nothing."""
    async with database_of(declared) as database:
        row = await database.fetchrow(QUERY)
    return None if row is None else (f"enrollments/{row['id']}", f"state = {row['state']}")
