"""An idempotency key is kept in the way that the service was told."""

from __future__ import annotations

import pytest

from avow.testing.provider.keys import Keeping, Keys
from avow.testing.provider.services.service import Call, Refusal
from avow.testing.provider.wire import Answer

CALL = Call("payment", "capture", "pay_1", {"amount": 5}, key="k")
DONE, DECLINED, INVALID, FAILED = Answer(200, {"a": 1}), Answer(402), Answer(400), Answer(500)


def after(keeping: Keeping, done: Answer, told: Answer | None = None) -> Answer | None:
    """What a retry is replayed."""
    keys = Keys()
    keys.keeping = keeping
    keys.keep(keys.take(CALL), done, told or done)
    return keys.kept(CALL)


@pytest.mark.parametrize(
    ("keeping", "done", "told", "replayed"),
    [
        (Keeping.DONE, DONE, None, DONE),
        (Keeping.DONE, DONE, FAILED, DONE),  # it was done; the client that saw a 500 learns so
        (Keeping.DONE, DECLINED, None, None),
        (Keeping.DONE, FAILED, None, None),
        (Keeping.EVERY, DONE, None, DONE),
        (Keeping.EVERY, DONE, FAILED, FAILED),
        (Keeping.EVERY, DECLINED, None, DECLINED),
        (Keeping.EVERY, INVALID, None, None),
        (Keeping.IGNORED, DONE, None, None),
    ],
)
def test_what_is_kept_is_replayed(
    keeping: Keeping, done: Answer, told: Answer | None, replayed: Answer | None
) -> None:
    assert after(keeping, done, told) == replayed


def test_a_key_of_another_request_is_refused() -> None:
    keys = Keys()
    keys.keep(keys.take(CALL), DONE, DONE)
    with pytest.raises(Refusal) as refused:
        keys.kept(Call("payment", "capture", "pay_1", {"amount": 6}, key="k"))
    assert (refused.value.status, refused.value.code) == (422, "key_reused")


def test_a_key_at_work_is_refused() -> None:
    keys = Keys()
    keys.take(CALL)
    with pytest.raises(Refusal) as refused:
        keys.kept(CALL)
    assert (refused.value.status, refused.value.code) == (409, "key_in_use")


def test_what_was_refused_may_be_corrected_under_its_key() -> None:
    keys = Keys()
    keys.keep(keys.take(CALL), DECLINED, DECLINED)
    assert keys.kept(Call("payment", "capture", "pay_1", {"amount": 6}, key="k")) is None


def test_without_a_key_nothing_is_kept() -> None:
    keys = Keys()
    call = Call("payment", "capture", "pay_1")
    keys.keep(keys.take(call), DONE, DONE)
    assert keys.kept(call) is None
