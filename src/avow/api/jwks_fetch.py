"""Fetch one small document over HTTP(S): the key set of an issuer.

It must never follow a redirect, never read more than its bound, and never outlive the deadline that
its caller sets with `asyncio.timeout`. Proxies are not used.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit

import httptools

from avow.api.jwks import SET_BYTES_MAX, FetchFailed, demand_safe_url

HEAD_BYTES_MAX = 64 * 1024


async def fetch(url: str) -> bytes:
    """GET `url`; raises FetchFailed unless the answer is 200 within bounds, OSError from the network."""
    parts = urlsplit(demand_safe_url(url))
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    context = ssl.create_default_context() if secure else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=HEAD_BYTES_MAX)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n"
            "User-Agent: avow\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("ascii"))
        await writer.drain()
        return await _read(reader)
    finally:
        writer.transport.abort()


class _Response:
    """Collects a response from httptools' callbacks."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def _read(reader: asyncio.StreamReader) -> bytes:
    response = _Response()
    parser: Any = httptools.HttpResponseParser(response)
    received_bytes = 0
    while not response.complete:
        data = await reader.read(HEAD_BYTES_MAX)
        received_bytes += len(data)
        if received_bytes > HEAD_BYTES_MAX + SET_BYTES_MAX:
            raise FetchFailed("the answer is too large")
        if not data:
            raise FetchFailed("the answer broke off")
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise FetchFailed("the answer is not HTTP") from None
    status = parser.get_status_code()
    if status != 200:
        raise FetchFailed(f"the answer has status {status}")
    return bytes(response.body)
