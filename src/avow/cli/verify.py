"""`avow verify`: recompute the audit log and compare it with the tables."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from avow.cli import output
from avow.cli.connection import database_url
from avow.cli.home import home_folder
from avow.cli.kept_verification import KeptVerification
from avow.cli.settings import keyring_at_hand
from avow.cli.target import load_target
from avow.cli.word import TENANT
from avow.engine.log.key import log_key
from avow.engine.log.outside import known_outside
from avow.engine.privacy import Keyring
from avow.engine.verify import Beside, Outside, Verification, verify
from avow.evidence.finding import Finding
from avow.model.system import System
from avow.store.pool import connect
from avow.store.schema.rights import demand_own_tables

SHOWN_MAX: Final = 20
"""How many findings are printed; --json gives all that were kept."""

PROCESSES_MAX: Final = 4
"""How many processes share the work unless somebody says otherwise: the server works beside each of them."""

UNSEALED: Final = (
    "not covered: newest entries that were cut off together with their row's version and head"
    " (docs/explanation/audit.md)"
)


@click.command(name="verify")
@click.argument("target", default=".")
@click.option(
    "--tenant", metavar="NAME", type=TENANT, help="Check one tenant, as a login that sees no other may."
)
@click.option("--limit-s", type=click.FloatRange(min=0), help="Stop after so many seconds, with exit code 4.")
@click.option(
    "--checkpoint",
    "checkpoints",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Compare with a checkpoint that was saved; may be repeated.",
)
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    help="The log's public key, or a file with it; by default the one beside the log's own key.",
)
@click.option(
    "--resume",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Go on from where the time was over, and keep in FILE where it is over now.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Share the work of a large log among so many processes; by default one for each core, at most 4.",
)
@output.json_option
def command(
    target: str, tenant: str | None, limit_s: float | None, checkpoints: tuple[Path, ...],
    keys: tuple[str, ...], resume: Path | None, processes: int | None, as_json: bool,
) -> int:  # fmt: skip
    """Check every audit entry of TARGET's database: its hash, its place in its record's chain, its boundary;
    then rebuild each record from its entries and compare it with its row. The log that entries are sealed in
    is computed again and compared with its checkpoints, with the one that is kept beside the log's key, and
    with those given. Private values are opened and compared with their digests where AVOW_PRIVATE_KEY names a
    file, or `avow dev` has one here.

    Works on AVOW_DATABASE_URL, or on the database of `avow dev` in this folder. Exit code 0: everything
    holds; 1: something was edited, removed or added; 4: there was no time to say.
    """
    system = load_target(target)
    kept = None if resume is None else KeptVerification(resume, system, tenant)
    earlier = None if kept is None else kept.read()
    with database_url(system) as url:
        # Read before the snapshot is taken, which then can't be older.
        outside = known_outside(
            log_key(os.environ.get("AVOW_LOG_KEY"), home_folder(os.environ), system.name), checkpoints, keys
        )
        if kept is not None and earlier is not None and (saved := kept.saved(earlier)) is not None:
            outside = Outside(outside.keys, [*outside.saved, saved])
        beside = Beside(url, processes or min(os.cpu_count() or 1, PROCESSES_MAX))
        result = asyncio.run(
            _verify(url, system, tenant, limit_s, outside, earlier, beside, keyring_at_hand(system))
        )
    if kept is not None:
        kept.keep(result)
    if as_json:
        output.document(_document(result))
    else:
        output.data(_text(system, result))
    if result.found:
        return output.FOUND
    if not result.complete:
        return output.NO_VERDICT
    if tenant is not None and not result.entries:
        output.talk(f"there is nothing of a tenant called {tenant}, so nothing was checked")
    output.talk(_covers(result))
    if kept is not None and kept.stops:
        output.talk(
            f"checked in parts, stopped at {', '.join(kept.stops)}: each part is told as it was at its time"
        )
    return output.HOLDS


def _covers(result: Verification) -> str:
    """What of all this somebody outside of the database stands for."""
    logs = result.logs
    if not logs.covered:
        return UNSEALED
    leaves = output.counted(logs.covered, "leaf", "leaves")
    said = f"sealed: {leaves} of {logs.newest}, {output.counted(logs.checkpoints, 'checkpoint')}"
    if logs.unsealed:
        said += f"; {output.counted(logs.unsealed, 'entry', 'entries')} not sealed yet"
    if logs.dropped is not None:
        leaves, at, where = logs.dropped
        said += f"; entries of {leaves:,} leaves not here, but for newest ones: dropped, last at"
        said += f" {at:%Y-%m-%d %H:%M:%SZ}, and exported to {where}"
    if logs.compared:
        return f"{said}; compared with {', '.join(logs.compared)}"
    return f"{said}; compared with no checkpoint from outside of the database"


async def _verify(
    url: str, system: System, tenant: str | None, limit_s: float | None, outside: Outside,
    earlier: Verification | None, beside: Beside, keyring: Keyring | None,
) -> Verification:  # fmt: skip
    connection = await connect(url)
    try:
        await demand_own_tables(connection, system)
        progress = _Rate()
        with progress:
            return await verify(
                connection,
                system,
                tenant=tenant,
                limit_s=limit_s,
                progress=progress.reach,
                outside=outside,
                earlier=earlier,
                beside=beside,
                keyring=keyring,
            )
    finally:
        await connection.close()


class _Rate(output.Progress):
    """A progress that also says how fast it goes."""

    def __init__(self) -> None:
        super().__init__(sys.stderr, "entries", 0)

    def _line(self, now: float) -> str:
        rate = self._done / max(now - self._started, 1e-9)
        return f"{super()._line(now)}, {rate:,.0f}/s"


def _text(system: System, result: Verification) -> str:
    lines = [_finding(system, finding) for finding in result.findings[:SHOWN_MAX]]
    if result.found > len(lines) > 0:
        lines.append(f"and {result.found - len(lines):,} more")
    if lines:
        lines.append("")
    where = f"{output.counted(result.records, 'record')} in {output.counted(result.tenants, 'tenant')}"
    counted = f"{result.entries:,} audit entries of {where}"
    took = f"{result.seconds:.1f} s, {result.entries_per_s:,.0f} entries/s"
    if not result.complete:
        counted = f"no verdict: the time was over after {counted}"
    elif not result.found:
        counted = f"{counted} hold: each hash, link, transition and long value, and each row"
    found = f"; {output.counted(result.found, 'difference')}" if result.found else ""
    return "\n".join([*lines, f"{counted}{found} ({took})", *_private(result)])


def _private(result: Verification) -> list[str]:
    """What is left of private values, and which entries have erased others."""
    seen = result.private
    if not seen.kept and not seen.erased:
        return []
    erased = [
        f"{count:,} erased at entry {entry}{_place(seen.leaves.get(entry))}"
        for entry, count in sorted(seen.erased.items())
    ]
    more = [f"and {len(erased) - SHOWN_MAX:,} entries more"] if len(erased) > SHOWN_MAX else []
    said = ", ".join([f"{output.counted(seen.kept, 'private value')} kept", *erased[:SHOWN_MAX], *more])
    closed = seen.kept - seen.opened
    return (
        [said, f"{closed:,} of those kept not opened: there is no file of private keys here"]
        if closed
        else [said]
    )


def _place(leaf: tuple[int, int] | None) -> str:
    """Where the log has an entry, as receipts name it."""
    if leaf is None:
        return ""
    return f" (leaf {leaf[1]})" if leaf[0] == 1 else f" (leaf {leaf[1]} of epoch {leaf[0]})"


def _finding(system: System, finding: Finding) -> str:
    entity = system.entities.get(finding.kind)
    name = finding.kind if entity is None else entity.plural
    where = f"{name}/{finding.id}" if finding.id else "database"
    place = output.plain(" ".join(part for part in (where, finding.field) if part))
    version = f" version {finding.version}" if finding.version else ""
    tenant = output.plain(f" (tenant {finding.tenant})") if finding.tenant else ""
    return (
        f"{output.paint(finding.code, 'error', sys.stdout)}  {place}{version}{tenant}\n"
        f"    {output.plain(finding.detail)}"
    )


def _dropped(result: Verification) -> dict[str, Any] | None:
    if result.logs.dropped is None:
        return None
    leaves, at, where = result.logs.dropped
    return {"leaves": leaves, "at": at.isoformat(), "exported_to": where}


def _document(result: Verification) -> dict[str, Any]:
    return {
        "holds": False if result.found else True if result.complete else None,
        "complete": result.complete,
        "entries": result.entries,
        "records": result.records,
        "rows": result.rows,
        "tenants": result.tenants,
        "seconds": round(result.seconds, 3),
        "entries_per_s": round(result.entries_per_s),
        "private": {
            "kept": result.private.kept,
            "opened": result.private.opened,
            "erased": {str(entry): count for entry, count in sorted(result.private.erased.items())},
            "leaves": {
                str(entry): {"epoch": epoch, "leaf": index}
                for entry, (epoch, index) in sorted(result.private.leaves.items())
            },
        },
        "log": {
            "origin": result.logs.newest or None,
            "covered": result.logs.covered,
            "checkpoints": result.logs.checkpoints,
            "unsealed": result.logs.unsealed,
            "dropped": _dropped(result),
            "compared": result.logs.compared,
        },
        "found": result.found,
        "findings": [
            {
                "tenant": finding.tenant,
                "kind": finding.kind,
                "id": finding.id,
                "version": finding.version,
                "field": finding.field,
                "code": finding.code,
                "detail": finding.detail,
            }
            for finding in result.findings
        ],
    }
