"""CALLS others: HTTP to the outside, such that it is known how each call ended.

`Outside` is kept for the life of a process and hands out one `Http` for one call of an effect, or for
one delivery to a subscriber.
"""

from __future__ import annotations

from avow.engine.outside.addresses import AddressRefused
from avow.engine.outside.blocking import BlockingHttp
from avow.engine.outside.destination import Destination
from avow.engine.outside.http import READING, Http, Limits, Outside, what_it_means
from avow.engine.outside.response import Response, demand_outcome, retry_after_s

__all__ = [
    "READING",
    "AddressRefused",
    "BlockingHttp",
    "Destination",
    "Http",
    "Limits",
    "Outside",
    "Response",
    "demand_outcome",
    "retry_after_s",
    "what_it_means",
]
