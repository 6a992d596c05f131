"""Who calls a peer's service: a bearer token of the identity provider, verified by PyJWT for each request."""

from __future__ import annotations

import os
from typing import Annotated, Any

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

ALGORITHMS = ["RS256"]
BEARER = HTTPBearer()

_key = jwt.PyJWK.from_json(os.environ["PEER_PUBLIC_KEY"])
_issuer, _audience = os.environ["PEER_ISSUER"], os.environ["PEER_AUDIENCE"]


async def clerk(credentials: Annotated[HTTPAuthorizationCredentials, Depends(BEARER)]) -> str:
    """The subject of a token with the role of a clerk. Raises 401 or 403."""
    try:
        claims: dict[str, Any] = jwt.decode(
            credentials.credentials, _key, algorithms=ALGORITHMS, issuer=_issuer, audience=_audience,
            options={"require": ["exp", "iat", "sub"]},
        )  # fmt: skip
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Send a valid bearer token.") from error
    if "clerk" not in claims.get("roles", []):
        raise HTTPException(403, "This needs the role clerk.")
    return str(claims["sub"])


Clerk = Annotated[str, Depends(clerk)]
