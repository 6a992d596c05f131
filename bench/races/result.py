"""What one tool has come to on one race."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """found: in the variant with the mistake. executions, seconds: until it was found, or all was tried.

    mended_*: the same of the variant without the mistake, in which nothing is to be found. note: what else
    there is to say, such as an error.
    """

    race: str
    tool: str
    found: bool
    executions: int
    seconds: float
    mended_found: bool
    mended_executions: int
    mended_seconds: float
    note: str = ""
