"""What functions have sent is held against what they say of it, and against what was sent for others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from avow.prove.calls import judge_keys, judge_noes, judge_undone
from avow.prove.seam import Made, Sent
from examples.checkout.system import app

ANN, BEN = UUID(int=1), UUID(int=2)


def made(effect: str, *sent: Sent, record: UUID = ANN, undoes: str | None = None, looked: int = 0) -> Made:
    """A call of a function of the checkout that has ended as done."""
    entity = next(one for one in app.entities.values() if effect in one.effects)
    work: Any = SimpleNamespace(id=record)
    return Made(entity.effects[effect], work, "", undoes, "done", "", list(sent), looked)


def sent(path: str, told: str = "", **more: Any) -> Sent:
    return Sent("POST", path, "key", "digest", carried=bool(told), answered=True, told=told, **more)


HELD = made("authorize_card", sent("/payments/authorize", "pay_1"))
HELD_TOO = made("authorize_second", sent("/payments/authorize", "pay_2"))


def said_of(undoing: Made) -> list[str]:
    calls = {"first": HELD, "second": HELD_TOO, "undo": undoing}
    return [broke.sentence for broke in judge_undone(calls)]


def test_an_undoing_names_what_was_made_by_what_it_undoes() -> None:
    assert said_of(made("void_payment", sent("/payments/pay_1/void"), undoes="first")) == []
    wrong = made("void_payment", sent("/payments/pay_2/void"), undoes="first")
    assert said_of(wrong) == [
        "void_payment is to undo authorize_card, and undoes what another call has made."
    ]


def test_an_undoing_asks_somebody() -> None:
    told = "void_payment says that it has undone authorize_card, and has asked nobody for it."
    assert said_of(made("void_payment", undoes="first")) == [told]
    assert said_of(made("void_payment", undoes="first", looked=1)) == [], "there was nothing left to undo"
    assert said_of(made("void_payment", undoes="gone")) == [], "what it undoes was never asked for"


def test_a_call_is_answered_with_what_was_done_for_its_own_record() -> None:
    again = made("ship", sent("/shipments", first=ANN))
    other = made("ship", sent("/shipments", first=ANN), record=BEN)
    assert list(judge_keys([again])) == []
    assert [broke.sentence for broke in judge_keys([other])] == [
        "ship is answered with what was done for another record under the same key."
    ]


def test_a_no_is_no_yes_where_all_goes_on_as_usual() -> None:
    no = made("capture_payment", sent("/payments/pay_1/capture", refused=("declined", "")))
    usual = frozenset({"capture_payment"})
    told = ["capture_payment was refused, and all goes on as if it had been done."]
    assert [broke.sentence for broke in judge_noes(app, [no], usual)] == told
    assert list(judge_noes(app, [no], frozenset())) == [], (
        "something else came of it, or it is refused anyway"
    )
    assert list(judge_noes(app, [HELD], frozenset({"authorize_card"}))) == []
