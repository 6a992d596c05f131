"""What is derived from a system is derived once, and is no part of what was declared."""

from __future__ import annotations

from avow.model.system import System


def test_what_a_function_makes_of_a_system_is_kept_with_that_system() -> None:
    made = list[str]()

    def names(system: System) -> tuple[str, ...]:
        made.append(system.name)
        return (system.name,)

    one, other = System("one", {}), System("other", {})
    assert one.derived(names) is one.derived(names)
    assert other.derived(names) == ("other",)
    assert made == ["one", "other"]
    assert one == System("one", {}), "two systems are equal by what they declare"
    assert "derived" not in repr(one)
