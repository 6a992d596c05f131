"""Triggers back from their descriptions, so that an old boundary can be shown in the words of its owner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any

from avow.evidence.expression_text import Types, text_of
from avow.model.calendar import Exact
from avow.model.times import DurationType


def trigger_text(described: Mapping[str, Any], types: Types) -> str | None:
    """What makes a transition by itself, as its owner would write it; None where somebody commands it."""
    match described:
        case {"on": [effect, outcome]}:
            return f"{effect}.{outcome}"
        case {"event": [sender, event]}:
            return f"{sender}:{event}"
        case {"at": at, "again": again, "after": delay}:
            if at is not None:
                return f"at {text_of(at, types)}"
            return f"{'every' if again else 'after'} {_delay(delay)}"
        case _:
            return None


def _delay(described: Mapping[str, Any]) -> str:
    match described:
        case {"exact": length}:
            return str(Exact(DurationType().parse(length, "")))
        case {"working_days": number, "calendar": name, "at": at}:
            return f"{name}.working_days({_arguments(number, at)})"
        case {"days": number, "at": at}:
            return f"calendar.days({_arguments(number, at)})"
        case _:
            raise ValueError("not the description of a delay")


def _arguments(number: int, at: str | None) -> str:
    clock = "" if at is None else f", at={repr(time.fromisoformat(at)).removeprefix('datetime.')}"
    return f"{number}{clock}"
