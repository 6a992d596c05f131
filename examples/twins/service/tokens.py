"""Bearer tokens (JWT, HS256): who calls, for which tenant, in which roles."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from .problems import ProblemError

ALGORITHM = "HS256"
CLAIMS = jwt.JWTClaimsRegistry(exp={"essential": True}, sub={"essential": True}, tenant={"essential": True})


@dataclass(frozen=True, slots=True)
class Caller:
    subject: str
    tenant: str
    roles: frozenset[str]

    def need(self, *roles: str) -> None:
        """Raises 403 unless the caller has one of the roles."""
        if self.roles.isdisjoint(roles):
            raise ProblemError(403, "forbidden", f"This needs the role {' or '.join(roles)}.")


def mint(secret: str, subject: str, tenant: str, roles: list[str], lifetime_s: int = 3600) -> str:
    """A token for demonstrations and tests; production tokens come from the identity provider."""
    claims = {"sub": subject, "tenant": tenant, "roles": roles, "exp": int(time.time()) + lifetime_s}
    return jwt.encode({"alg": ALGORITHM}, claims, OctKey.import_key(secret))


def authenticate(request: Request) -> Caller:
    """The caller of this request. Raises 401 for a missing, expired or forged token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise ValueError("no bearer token")
        claims = jwt.decode(token, request.app.state.key, algorithms=[ALGORITHM]).claims
        CLAIMS.validate(claims)
        subject, tenant, roles = claims["sub"], claims["tenant"], claims.get("roles", [])
        if not (isinstance(subject, str) and isinstance(tenant, str) and isinstance(roles, list)):
            raise ValueError("claims of the wrong type")
    except (JoseError, ValueError) as error:
        raise ProblemError(401, "unauthenticated", "Send a valid bearer token.") from error
    return Caller(subject, tenant, frozenset(map(str, cast("list[object]", roles))))


CallerOf = Annotated[Caller, Depends(authenticate)]
