"""A receiver of webhooks for tests: it keeps what comes, and answers as told."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from avow.testing import webhook_headers

TAKEN = 204


@dataclass(frozen=True)
class Hook:
    """One webhook that came."""

    id: str
    type: str
    data: Any
    genuine: bool


class Receiver:
    """A server in threads of its own.

    statuses: what the next webhooks are answered with; 204 behind them.
    begun:    released for each webhook that begins to come.
    free:     while it is cleared, a webhook that came waits for its answer.
    """

    def __init__(self) -> None:
        self.got: list[Hook] = []
        self.statuses: list[int] = []
        self.secret = "whsec_"
        self.begun = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.begun.release()
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver._take({name.lower(): value for name, value in self.headers.items()}, body)
                receiver.free.wait()
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else TAKEN)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where webhooks are to go."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, headers: dict[str, str], body: bytes) -> None:
        message_id, timestamp_s = headers["webhook-id"], int(headers["webhook-timestamp"])
        genuine = webhook_headers(self.secret, message_id, timestamp_s, body)
        document = json.loads(body)
        signed = genuine["webhook-signature"] == headers["webhook-signature"]
        self.got.append(Hook(message_id, document["type"], document["data"], signed))
