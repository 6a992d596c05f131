"""Checkpoints of a call: how far its function has come, kept at once and given back to the next attempt.

A checkpoint is written under the fencing number of its attempt, in a transaction of its own: that of a worker
which was taken for dead is none, and ends what it is doing. It is forgotten with the call.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, Final

from avow.engine.privacy import holds_any
from avow.engine.workers.calls import Superseded
from avow.store.queue import Queue, Work

CHECKPOINT_BYTES_MAX: Final = 65_536
"""The longest checkpoint, as JSON: it is a place to go on from, not what was fetched."""
WRITTEN_S_MAX: Final = 30.0
"""How long a plain function waits in its thread for its checkpoint to be written."""


class Checkpoints:
    """Keeps the checkpoints of one attempt. private: the values in clear that none of them may hold."""

    def __init__(self, queue: Queue, work: Work, private: SimpleNamespace) -> None:
        self._queue, self._work, self._private = queue, work, private

    @property
    def progress(self) -> Any:
        """The last checkpoint of the attempts before; None: there is none."""
        return None if self._work.progress is None else json.loads(self._work.progress)

    async def keep(self, progress: Any) -> None:
        """Keep how far the call has come: plain JSON, which replaces what was kept before.

        Raises ValueError for what can't be kept, and Superseded where another worker has the call.
        """
        if not await self._queue.checkpoint(self._work, self._text(progress)):
            raise Superseded

    def blocking(self, loop: asyncio.AbstractEventLoop) -> Any:
        """The same for a plain function, which waits for it in its thread."""

        def keep(progress: Any) -> None:
            waiting = asyncio.run_coroutine_threadsafe(self.keep(progress), loop)
            waiting.result(WRITTEN_S_MAX)

        return keep

    def _text(self, progress: Any) -> str:
        try:
            text = json.dumps(progress, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("a checkpoint is plain JSON") from None
        if len(text.encode()) > CHECKPOINT_BYTES_MAX or "\\u0000" in text:
            raise ValueError(f"a checkpoint has at most {CHECKPOINT_BYTES_MAX} bytes of JSON, without U+0000")
        if holds_any(text, vars(self._private).values()):
            raise ValueError("a checkpoint holds nothing private: it isn't encrypted")
        return text
