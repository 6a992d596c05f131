"""A client of raw bytes, for requests that no library would send."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Generator
from contextlib import contextmanager

from tests.contract.fix_server import Server

ANSWER_S_MAX = 40.0


@contextmanager
def connected(server: Server) -> Generator[socket.socket]:
    """A connection to the server."""
    with socket.create_connection(server.listening.getsockname(), timeout=ANSWER_S_MAX) as connection:
        yield connection


def read(connection: socket.socket, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """The next answer: status, headers by lower-case name, body. Raises ConnectionError if there is none."""
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    with answer:
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def ask(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer to one request, byte by byte as given."""
    with connected(server) as connection:
        connection.sendall(request)
        return read(connection)
