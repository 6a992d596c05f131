"""Settling by hand what a worker couldn't: the outcome of a call, as an operator knows it.

It is the same command that a worker would give, decided and committed the same way: under the taking that the
operator has seen, in one transaction with what the operator says, and under the operator's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from avow.engine.execute import Engine, Reply, Request
from avow.engine.identifier import new_id_text
from avow.model.actor import Actor
from avow.model.effect import DONE, FAILED, Effect
from avow.model.types import Value
from avow.model.values import Subject
from avow.store.operate import By
from avow.store.transaction import IdempotencyKey

CODE_LENGTH_MAX = 100
REASON_LENGTH_MAX = 1_000


async def settle_done(
    engine: Engine, item: Mapping[str, Any], effect: Effect, result: Any, by: By,
    key: IdempotencyKey | None = None,
) -> Reply:  # fmt: skip
    """It was done, with this result, plain JSON. key: under which the answer is kept.

    Raises Misfit where that isn't of the effect's type, and Outrun where somebody else was faster.
    """
    told = {} if effect.result is None else {"result": effect.result.parse(result, "#/result")}
    return await engine.execute(_request(item, f"{effect.name}.{DONE}", told, by, "settle-done", key))


async def settle_failed(
    engine: Engine, item: Mapping[str, Any], effect: Effect, code: str, by: By, action: str = "settle-failed",
    key: IdempotencyKey | None = None, *, dry_run: bool = False,
) -> Reply:  # fmt: skip
    """It wasn't done, and won't be; `by.reason` is what the transition is told. Raises Outrun."""
    told = {"code": code[:CODE_LENGTH_MAX], "reason": by.reason[:REASON_LENGTH_MAX]}
    request = _request(item, f"{effect.name}.{FAILED}", told, by, action, key)
    return await engine.execute(replace(request, dry_run=dry_run))


def _request(
    item: Mapping[str, Any], command: str, told: Mapping[str, Value], by: By, action: str,
    key: IdempotencyKey | None,
) -> Request:  # fmt: skip
    return Request(
        entity=item["kind"], command=command, record=item["id"], input=told,
        actor=Actor(Subject(by.subject), item["tenant"]), key=None,
        fingerprint=b"" if key is None else key.fingerprint, kept_under=None if key is None else key.id,
        request_id=new_id_text(), settles=(item["work"], item["fence"]),
        intervention={
            "action": action, "subject": by.subject, "reason": by.reason, "evidence": by.evidence,
        },
    )  # fmt: skip
