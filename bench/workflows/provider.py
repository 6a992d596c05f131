"""The outside that every contender calls: one process, which keeps when each key came and how often.

It answers at once and from memory, so that what is measured is who calls it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_keys = set[bytes]()
"""What was asked for, each with its key."""
_whose = dict[str, float]()
"""When the first call came for whoever said so in X-For, in seconds since 1970."""
_calls = 0


async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """POST: one call. GET: how many there were, under how many keys; of /came: when whose first call came.
    DELETE: begin anew."""
    if scope["type"] != "http":
        return
    method = scope["method"]
    while (await receive()).get("more_body"):
        pass
    if method == "POST":
        told: Any = {"id": _note(scope)}
    elif scope["path"] == "/came":
        told = _whose
    elif method == "GET":
        told = {"calls": _calls, "keys": len(_keys)}
    else:
        _forget()
        told = {}
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _note(scope: Mapping[str, Any]) -> str:
    global _calls
    _calls += 1
    headers = dict(scope["headers"])
    key: bytes = headers[b"idempotency-key"]
    _keys.add(scope["raw_path"] + b" " + key)
    if whose := headers.get(b"x-for"):
        _whose.setdefault(whose.decode(), time.time())
    return f"did-{key.decode()[:48]}"


def _forget() -> None:
    global _calls
    _calls = 0
    _keys.clear()
    _whose.clear()
