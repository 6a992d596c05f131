"""`avow migrate`: make the tables of a declaration, or bring them up to a changed one."""

from __future__ import annotations

import asyncio
import os

import click

from avow.cli import output
from avow.cli.target import load_target
from avow.declare.check import check_entities
from avow.errors import UsageError
from avow.model.system import System
from avow.store.pool import connect
from avow.store.schema.install import install


@click.command(name="migrate")
@click.argument("target", default=".")
@output.json_option
def command(target: str, as_json: bool) -> None:
    """Make the roles, tables and functions of TARGET in the database of AVOW_DATABASE_URL.

    The URL is a superuser's, or of a role with CREATEROLE that owns the database. On tables of an
    earlier declaration this adds what can be added and refuses what could lose data.
    """
    system = load_target(target)
    output.warn(check_entities(system.entities, set()))
    url = os.environ.get("AVOW_DATABASE_URL")
    if not url:
        raise UsageError(
            "AVOW_DATABASE_URL isn't set",
            "Set it to a URL of the database's owner; `avow dev` needs no migration by hand.",
        )
    changed = asyncio.run(_migrate(url, system))
    if as_json:
        output.document({"changed": changed, "boundary": system.fingerprint.hex()})
        return
    output.data("the tables fit the declaration" + ("" if changed else " already"))


async def _migrate(url: str, system: System) -> bool:
    connection = await connect(url)
    try:
        return await install(connection, system)
    finally:
        await connection.close()
