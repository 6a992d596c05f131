"""Connections to one destination: each goes to an address that was checked, under the name asked for.

The name is looked up once, here, and the socket is opened to what was found. A second look-up, which could
say something else by then (DNS rebinding), doesn't happen; Host, SNI and the certificate go by the name.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Iterable
from typing import cast

import httpcore2
import httpx2

from avow.engine.outside.addresses import AddressRefused, Resolve, addresses_of

CONNECTIONS_MAX = 64
KEPT_CONNECTIONS_MAX = 16
KEPT_S = 3.0
"""How long an idle connection is kept. Common servers close theirs after 5 s; a request that crosses that
end on the wire would be an outcome that nobody can know."""

CONNECT_S_MAX = 10.0
"""How long connecting may take, of a call's time: nothing is sent yet, so the call may be tried again."""

AllowPrivate = Callable[[str, int], bool]
"""Whether this host and port may be at a private address."""

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens sockets to checked addresses only."""

    def __init__(self, resolver: Resolve, allow_private: AllowPrivate) -> None:
        self._resolver, self._allow_private = resolver, allow_private
        self._plain = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """The first address that answers; each gets its part of the time, so that one dead one isn't all."""
        try:
            async with asyncio.timeout(timeout):
                found = await addresses_of(host, port, self._resolver, self._allow_private(host, port))
                part_s = None if timeout is None else timeout / len(found)
                for address in found[:-1]:
                    try:
                        return await self._plain.connect_tcp(
                            address, port, part_s, local_address, socket_options
                        )
                    except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                        continue
                return await self._plain.connect_tcp(found[-1], port, part_s, local_address, socket_options)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("the name can't be resolved") from None

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Never: a path in the file system is no destination."""
        raise AddressRefused("the URL leads to a socket in the file system")


@functools.cache
def default_tls() -> ssl.SSLContext:
    """Certificates that the system trusts; read once, which takes as long as many requests."""
    return httpx2.create_ssl_context()


def connection_pool(
    resolver: Resolve, allow_private: AllowPrivate, ssl_context: ssl.SSLContext
) -> httpcore2.AsyncConnectionPool:
    """A bounded pool. It follows no proxy of the environment: that would connect where nothing is checked."""
    return httpcore2.AsyncConnectionPool(
        ssl_context=ssl_context,
        max_connections=CONNECTIONS_MAX,
        max_keepalive_connections=KEPT_CONNECTIONS_MAX,
        keepalive_expiry=KEPT_S,
        network_backend=CheckedNetwork(resolver, allow_private),
    )
