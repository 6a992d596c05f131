"""A witness over HTTP (c2sp.org/tlog-witness), for somebody who doesn't run the log: a customer, an auditor.

It remembers the newest checkpoint that it signed of each log, in one file, and signs the next one only if
that goes on from there. It needs no database. What was signed is in the file before it is answered, and one
process at a time has the file.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from avow.errors import EnvironmentFault
from avow.evidence.note import Signer
from avow.evidence.verifier import VerifierKey
from avow.evidence.witness import SIZE_MEDIA_TYPE, Refused, Seen, judge
from avow.store.server.filelock import FileLock, write_private

BODY_BYTES_MAX: Final = 65_536
BODY_S_MAX: Final = 10.0
TEXT: Final = "text/plain; charset=utf-8"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def _content(path: Path) -> bytes | None:
    """What is in a file; None only where there is none. Python 3.14's `exists` hides every other fault."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class State:
    """The newest checkpoint of each log, in a file. Raises EnvironmentFault for a file that can't be had.

    first: the witness has no key yet, so there is nothing that it could have signed; the file is made.
    Otherwise it has to be there.
    """

    def __init__(self, path: Path, *, first: bool) -> None:
        self._path = path = path.resolve()  # one file, under whatever name
        try:
            self._lock = FileLock(path.with_name(f"{path.name}.lock"))
            content = _content(path)
            if content is None and first:
                write_private(path, content := b"{}", lasting=True)
            held: Any = json.loads(content or b"")
            self.seen = {origin: Seen(each["size"], b64decode(each["root"])) for origin, each in held.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise EnvironmentFault(
                "witness-state", f"{path} can't be used: {type(error).__name__}",
                "Bring the file back: without it, this witness might sign two histories of one log. Only if"
                " its key has never signed anything, write {} into it.",
            ) from None  # fmt: skip
        if not self._lock.try_exclusive():
            raise EnvironmentFault(
                "witness-twice", f"another witness is using {path}", "Stop it, or give this one another file."
            )

    def keep(self, origin: str, seen: Seen) -> None:
        """Remember a checkpoint, so that it is there after a crash."""
        seen_of = {**self.seen, origin: seen}
        told = {
            name: {"size": size, "root": b64encode(root).decode()} for name, (size, root) in seen_of.items()
        }
        write_private(self._path, json.dumps(told, indent=1).encode(), lasting=True)
        self.seen = seen_of

    def close(self) -> None:
        """Let go of the file."""
        self._lock.close()


class WitnessApplication:
    """The ASGI application of a witness: `POST /add-checkpoint`, and `GET /` with its key.

    logs: whose checkpoints it signs. clock: seconds since 1970.
    """

    def __init__(
        self,
        signer: Signer,
        logs: Sequence[VerifierKey],
        state: State,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer, self._logs, self._state, self._clock = signer, logs, state, clock
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> None:
        """Nothing to do: the state is there."""

    async def close(self) -> None:
        """Let go of the state."""
        self._state.close()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        wanted = (scope["method"], scope["path"])
        if wanted == ("POST", "/add-checkpoint"):
            body = await _body(receive)
            status, text, kind = (
                await self._add(body) if body is not None else (413, "too long or too slow\n", TEXT)
            )
        elif wanted == ("GET", "/"):
            status, text, kind = 200, f"{self._signer.cosigner.text}\n", TEXT
        else:
            status, text, kind = 404, "POST /add-checkpoint (c2sp.org/tlog-witness)\n", TEXT
        content = text.encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _add(self, body: bytes) -> tuple[int, str, str]:
        """Sign a checkpoint or say why not. Between looking and keeping nobody else is let in."""
        async with self._one_at_a_time:
            try:
                text, checkpoint = judge(body, self._logs, self._state.seen)
            except Refused as refused:
                if refused.size is not None:
                    return refused.status, f"{refused.size}\n", SIZE_MEDIA_TYPE
                return refused.status, f"{refused}\n", TEXT
            seen = Seen(checkpoint.size, checkpoint.root)
            if self._state.seen.get(checkpoint.origin) != seen:
                await asyncio.to_thread(self._state.keep, checkpoint.origin, seen)
        return 200, self._signer.cosign(text, int(self._clock())), TEXT


async def _body(receive: Receive) -> bytes | None:
    """The body; None where it is too long, or doesn't arrive in time."""
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_S_MAX):
            while more and len(body) <= BODY_BYTES_MAX:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        return None
    return None if more or len(body) > BODY_BYTES_MAX else body
