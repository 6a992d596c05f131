"""The outside misbehaves exactly as it was told, and by chance the same under the same seed."""

from __future__ import annotations

from typing import Any

import pytest

from avow.testing.provider.behaviour import BehaviourError, Behaviours, Fault


def kinds(
    behaviours: Behaviours, count: int, service: str = "payment", operation: str = "capture"
) -> list[str]:
    taken = (behaviours.take(service, operation) for _ in range(count))
    return ["+".join(fault.kind for fault in faults) for faults in taken]


def told(*rules: dict[str, Any], seed: int = 0) -> Behaviours:
    behaviours = Behaviours(seed)
    for rule in rules:
        behaviours.put(rule)
    return behaviours


LOSSES = {
    "service": "payment",
    "chance": [{"kind": "lose_reply", "chance": 0.2}, {"kind": "busy", "chance": 0.1}],
}


def test_a_script_is_followed_in_order_and_then_all_is_fine() -> None:
    behaviours = told({"script": ["lose_reply", "fine", ["duplicate", "cut_within"]]})
    assert kinds(behaviours, 4) == ["lose_reply", "", "duplicate+cut_within", ""]


def test_the_script_of_the_operation_comes_before_that_of_its_service_and_of_all() -> None:
    behaviours = told(
        {"script": ["silent"]},
        {"service": "payment", "script": ["busy"]},
        {"service": "payment", "operation": "capture", "script": ["garbage"]},
    )
    assert kinds(behaviours, 4) == ["garbage", "busy", "silent", ""]


def test_another_operation_does_not_use_up_the_script() -> None:
    behaviours = told({"service": "payment", "operation": "capture", "script": ["busy"]})
    assert kinds(behaviours, 1, "payment", "void") == [""]
    assert kinds(behaviours, 1) == ["busy"]


def test_chance_is_the_same_under_one_seed_and_another_under_another() -> None:
    first, again, other = (kinds(told(LOSSES, seed=seed), 200) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_chance_does_not_depend_on_what_other_operations_were_asked_between() -> None:
    behaviours = told(LOSSES)
    mixed = list[str]()
    for _ in range(100):
        behaviours.take("stock", "reserve")
        behaviours.take("payment", "void")
        mixed += kinds(behaviours, 1)
    assert mixed == kinds(told(LOSSES), 100)


def test_chance_falls_about_as_often_as_it_says() -> None:
    drawn = kinds(told(LOSSES), 10_000)
    assert abs(drawn.count("lose_reply") - 2_000) < 200
    assert abs(drawn.count("busy") - 1_000) < 150


def test_rules_for_all_services_are_not_for_webhooks() -> None:
    behaviours = told({"script": ["busy"]})
    assert kinds(behaviours, 1, "webhooks", "payment.captured") == [""]


def test_an_option_that_is_not_given_has_the_kinds_own_default() -> None:
    behaviours = told({"script": [{"kind": "busy", "status": 429}]})
    assert list(behaviours.take("stock", "reserve")) == [Fault("busy", status=429, seconds=1)]


@pytest.mark.parametrize(
    ("rule", "because"),
    [
        ({"script": ["explode"]}, "is none of fine, delay"),
        ({"service": "webhooks", "script": ["lose_reply"]}, "is none of fine, early"),
        ({"script": [{"kind": "lose_reply", "seconds": 3}]}, "no option seconds"),
        ({"script": [{"kind": "hold", "at": "night"}]}, "is none of arrival, work, reply"),
        ({"script": [{"kind": "delay", "seconds": "long"}]}, "seconds can't be 'long'"),
        ({"script": [{"kind": "busy", "status": 200}]}, "no status of a failure"),
        ({"chance": [{"kind": "busy", "chance": 1.5}]}, "from 0 to 1"),
        ({"chance": [{"kind": "busy", "chance": 0.6}, {"kind": "silent", "chance": 0.6}]}, "more than 1"),
    ],
)
def test_what_nobody_can_follow_is_refused_and_changes_nothing(rule: dict[str, Any], because: str) -> None:
    behaviours = told({"script": ["garbage"]})
    with pytest.raises(BehaviourError, match=because):
        behaviours.put(rule)
    assert kinds(behaviours, 1) == ["garbage"]
