"""An issuer of bearer tokens on loopback, as an identity provider would be one: RS256, keys by JWKS."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

TENANT = "main"
AUDIENCE = "payments"
ALGORITHM = "RS256"
KEY_BITS = 2048
TOKEN_S = 24 * 3600


@dataclass(frozen=True)
class Issuer:
    """One that runs. `name` is also the address below which its key set is served."""

    name: str
    key: RSAKey

    @property
    def keys_url(self) -> str:
        """Where the public keys are."""
        return f"{self.name}/keys"

    def token(self, subject: str, *roles: str) -> str:
        """A token that is valid for a day."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.name, "aud": AUDIENCE, "sub": subject, "roles": list(roles),
            "iat": now, "exp": now + TOKEN_S, "jti": f"{subject}-{now}",
        }  # fmt: skip
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": "1"}, claims, self.key)

    def environment(self) -> dict[str, str]:
        """What makes `avow serve` believe it."""
        return {
            "AVOW_OIDC_ISSUER": self.name,
            "AVOW_OIDC_AUDIENCE": AUDIENCE,
            "AVOW_OIDC_JWKS_URL": self.keys_url,
            "AVOW_OIDC_ALGORITHMS": ALGORITHM,
        }


@contextmanager
def issuer() -> Generator[Issuer]:
    """Serve a fresh key set until the end of the block."""
    key = RSAKey.generate_key(KEY_BITS, {"kid": "1", "alg": ALGORITHM, "use": "sig"})
    document = json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Issuer(f"http://127.0.0.1:{server.server_port}", key)
    finally:
        server.shutdown()
        server.server_close()
