"""How a service starts: its settings from the environment, its handlers, one JSON line when it is ready."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from joserfc.jwk import OctKey
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from starlette.exceptions import HTTPException

from . import problems

# Longer than any request can last (see the time-outs in database.py): an older lock is a dead process.
KEY_LOCK_S = 30.0
SECRET_LENGTH_MIN = 32
SETTINGS = ("TWIN_DATABASE_URL", "TWIN_SECRET")


class Server(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)


def serve(
    name: str, description: str | None, build: Callable[[Mapping[str, str]], FastAPI], *more: str
) -> int:
    """Serve what `build` makes of the environment; the exit code. more: settings that it needs, too."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.twins.{name}", description=description)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    port = parser.parse_args().port
    missing = [setting for setting in (*SETTINGS, *more) if not os.environ.get(setting)]
    if missing:
        print(f"set {' and '.join(missing)}", file=sys.stderr)
        return 2
    try:
        application = build(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    listener = socket.create_server(("127.0.0.1", port))
    server = Server(uvicorn.Config(application, log_level="warning", server_header=False))
    server.run(sockets=[listener])
    return 0 if server.started else 3


def equip(application: FastAPI, engine: AsyncEngine, settings: Mapping[str, str]) -> None:
    """Give an application its sessions, its key and the answers to what goes wrong.

    Raises ValueError when a setting can't be used.
    """
    secret = settings["TWIN_SECRET"]
    if len(secret) < SECRET_LENGTH_MIN:
        raise ValueError(f"TWIN_SECRET must have at least {SECRET_LENGTH_MIN} characters")
    application.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    application.state.key = OctKey.import_key(secret)
    application.state.key_lock_s = float(settings.get("TWIN_KEY_LOCK_S", KEY_LOCK_S))
    application.add_exception_handler(problems.ProblemError, problems.answer_problem)
    application.add_exception_handler(RequestValidationError, problems.answer_invalid_input)
    application.add_exception_handler(HTTPException, problems.answer_framework_error)
    application.add_exception_handler(Exception, problems.answer_unexpected)
