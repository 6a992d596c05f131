"""Connections to one destination: each goes to an address that was checked, under the name asked for.

The name is looked up once, here, and the socket is opened to what was found. A second look-up, which could
say something else by then (DNS rebinding), doesn't happen; Host, SNI and the certificate go by the name.
No proxy of the environment is followed: that would connect where nothing is checked.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import defaultdict
from collections.abc import Callable

import httpx2

from avow.engine.outside.addresses import Resolve, addresses_of
from avow.engine.outside.connection import Answer, Connection, Reading
from avow.engine.outside.destination import Origin

CONNECTIONS_MAX = 64
"""How many requests are under way at once, and how many idle connections are kept."""
KEPT_S = 3.0
"""How long an idle connection is kept. Common servers close theirs after 5 s; a request that crosses that
end on the wire would be an outcome that nobody can know."""

CONNECT_S_MAX = 10.0
"""How long connecting may take, of a call's time: nothing is sent yet, so the call may be tried again."""

AllowPrivate = Callable[[str, int], bool]
"""Whether this host and port may be at a private address."""

Sent = list[bool]
"""Not empty as soon as a byte of the request may have left."""


@functools.cache
def default_tls() -> ssl.SSLContext:
    """Certificates that the system trusts; read once, which takes as long as many requests."""
    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connections:
    """A bounded number of them; belongs to one event loop."""

    def __init__(self, resolver: Resolve, allow_private: AllowPrivate, ssl_context: ssl.SSLContext) -> None:
        self._resolver, self._allow_private, self._ssl_context = resolver, allow_private, ssl_context
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        self._open, self._idle = set[Connection](), defaultdict[Origin, list[Connection]](list)
        self._idle_count = 0

    async def exchange(
        self, origin: Origin, request: bytes, reading: Reading, sent: Sent, left_s: float
    ) -> Answer:
        """Send a request and read its answer; tells in `sent` when the first byte may have left.

        Raises Broken, or OSError, TimeoutError or AddressRefused where nothing could be connected to.
        """
        async with self._places:
            connection = self._take(origin) or await self._connect(origin, min(left_s, CONNECT_S_MAX))
            sent.append(True)
            answer = await connection.exchange(request, reading)
            if connection.usable:
                self._keep(origin, connection)
            return answer

    async def aclose(self) -> None:
        """Close every connection. What is still under way is cut."""
        for connection in list(self._open):
            connection.close()

    def _take(self, origin: Origin) -> Connection | None:
        """One that is open already: the one that was used last."""
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if connection.expiry is not None:
                connection.expiry.cancel()
            if connection.usable:
                return connection
            connection.close()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if self._idle_count >= CONNECTIONS_MAX:
            connection.close()
            return
        connection.expiry = asyncio.get_running_loop().call_later(KEPT_S, connection.close)
        self._idle[origin].append(connection)
        self._idle_count += 1

    def _lost(self, origin: Origin, connection: Connection) -> None:
        """One was closed."""
        self._open.discard(connection)
        if connection.expiry is not None:
            connection.expiry.cancel()
        idle = self._idle.get(origin, [])
        if connection in idle:
            idle.remove(connection)
            self._idle_count -= 1
        if not idle:
            self._idle.pop(origin, None)

    async def _connect(self, origin: Origin, within_s: float) -> Connection:
        """To the first address that answers; each gets its part of the time: one dead one isn't all."""
        _, host, port = origin
        async with asyncio.timeout(within_s):
            try:
                found = await addresses_of(host, port, self._resolver, self._allow_private(host, port))
            except UnicodeError:
                raise OSError("the name can't be resolved") from None
            for address in found[:-1]:
                try:
                    async with asyncio.timeout(within_s / len(found)):
                        return await self._connect_to(origin, address)
                except OSError:  # a TimeoutError is one, too
                    continue
            return await self._connect_to(origin, found[-1])

    async def _connect_to(self, origin: Origin, address: str) -> Connection:
        scheme, host, port = origin
        secure = scheme == "https"
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(functools.partial(self._lost, origin)), address, port,
            ssl=self._ssl_context if secure else None, server_hostname=host if secure else None,
        )  # fmt: skip
        self._open.add(connection)
        return connection
