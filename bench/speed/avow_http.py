"""Avow as it is served in production: `avow serve`, bearer tokens of an identity provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from bench.speed.service import Service, free_port, python, service
from bench.speed.stage import TARGET, Stage
from bench.speed.system import app as declared
from bench.speed.tokens import Issuer

SECRET = "0123456789abcdef" * 4


@asynccontextmanager
async def avow_server(
    made: Stage, issuer: Issuer, workers: int = 1, database: str = declared.name
) -> AsyncGenerator[Service]:
    """`avow serve` on the stage's database."""
    port = free_port()
    command = python("-m", "avow.cli", "serve", str(TARGET), "--port", str(port))
    if workers > 1:
        command += ["--workers", str(workers)]
    environment = {
        "AVOW_DATABASE_URL": made.application_url(database),
        "AVOW_SECRET": SECRET,
        **issuer.environment(),
    }
    async with service("avow", command, port, made.home / "avow.log", environment) as running:
        yield running


def records_file(made: Stage, records: Sequence[UUID]) -> Path:
    """The ids that the load generator draws from, one a line."""
    file = made.home / f"records-{records[0]}-{len(records)}"
    file.write_text("".join(f"{record}\n" for record in records))
    return file
