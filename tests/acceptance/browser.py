"""A real browser without a window, told what to do over a pipe (the Chrome DevTools Protocol).

It is used where there is one and never fetched. The pipe carries JSON messages that end in a zero byte.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ANSWER_BYTES_MAX = 65_536


def found() -> str | None:
    """The program, if there is one here."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


class Browser:
    """One browser with one page. events: what it has told by itself, of the domains that were enabled."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._rest, self._number = to, back, b"", 0
        self.events = list[dict[str, Any]]()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, page: Path) -> None:
        """Go to a file."""
        self.call("Page.navigate", page=True, url=page.as_uri())

    def evaluate(self, expression: str) -> Any:
        """What an expression of JavaScript gives in the page; a promise is awaited."""
        answer = self.call(
            "Runtime.evaluate", page=True, expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def call(self, method: str, *, page: bool = False, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if page:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._back, ANSWER_BYTES_MAX)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def browsing(program: str, profile: Path) -> Iterator[Browser]:
    """A browser for as long as the block runs; `profile` is an empty folder of its own."""
    theirs_in, to = os.pipe()
    back, theirs_out = os.pipe()
    script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    options = [
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--headless",
        f"--user-data-dir={profile}",
    ]
    process = subprocess.Popen(
        ["/bin/bash", "-c", script, program, *options],
        pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(to, back)
    finally:
        process.kill()
        process.wait()
        os.close(to)
        os.close(back)
