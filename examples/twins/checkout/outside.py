"""The provider of stock, payment and shipping, as a careful client calls it: under a key, with time-outs."""

from __future__ import annotations

from typing import Any

import httpx2

CALL_TIMEOUT_S = 10.0
NOT_NOW = (408, 425, 429)
"""Answers below 500 that say nothing about the request itself."""


class Refused(Exception):
    """A definite no."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unavailable(Exception):
    """No answer, or one that isn't final: the same call has to be made again, under its key."""


class Outside:
    """One client for the whole process."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=CALL_TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something done once for this key. Raises Refused or Unavailable."""
        return await self._send("POST", path, {"Idempotency-Key": key}, body)

    async def payment(self, payment: str) -> dict[str, Any]:
        """A payment as it is now. Raises Refused or Unavailable."""
        return await self._send("GET", f"/payments/{payment}", {}, None)

    async def _send(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None
    ) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, path, headers=headers, json=body)
            said = answer.json()
        except (httpx2.TransportError, ValueError) as error:
            raise Unavailable(type(error).__name__) from error
        if answer.status_code >= 500 or answer.status_code in NOT_NOW:
            raise Unavailable(str(answer.status_code))
        if answer.status_code >= 400 and said.get("code") == "key_in_use":
            raise Unavailable("a copy of this call is at work")
        if answer.status_code >= 400:
            raise Refused(str(said.get("code")))
        return said
