"""What the outside really did, in the order in which it did it: the truth that a test compares ours with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

EARNED: Final = {("payment", "capture"): 1, ("payment", "refund"): -1}
HELD: Final = {("stock", "reserve"): 1, ("stock", "release"): -1}


@dataclass(frozen=True, slots=True)
class Deed:
    """What a service did.

    amount: minor units of money, or pieces of stock; 0 where there is nothing to count.
    item:   what of it, where one reference may have several: the sku, or the kind of check.
    id:     what it was done to: a payment, a shipment, a check, an account.
    """

    operation: str
    reference: str
    amount: int = 0
    item: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. Nothing that was refused, replayed or lost on its way has one.

    number: its place in time, from 1. The rest is the deed's, and the key it was asked for under.
    """

    number: int
    service: str
    operation: str
    reference: str
    key: str | None = None
    amount: int = 0
    item: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Doubled:
    """One thing that was done more often than intended, and each time that it was."""

    service: str
    operation: str
    reference: str
    item: str
    entries: tuple[Entry, ...]


class Ledger:
    """An append-only list of entries, and the questions that a test asks it."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = []
        self._by_reference: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._add(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, service: str, key: str | None, deed: Deed) -> Entry:
        """Write down what has just been done, and under which key it was asked for."""
        entry = Entry(len(self._entries) + 1, service, key=key, **asdict(deed))
        self._add(entry)
        return entry

    def references(self) -> list[str]:
        """Every reference for which something was done, in the order in which that began."""
        return list(self._by_reference)

    def of(
        self, service: str | None = None, operation: str | None = None, reference: str | None = None
    ) -> list[Entry]:
        """The entries of a service, of an operation, of a reference: of all where none is named."""
        entries = self._entries if reference is None else self._by_reference.get(reference, [])
        return [
            entry
            for entry in entries
            if service in (None, entry.service) and operation in (None, entry.operation)
        ]

    def count(self, service: str, operation: str, reference: str | None = None) -> int:
        """How often something was done."""
        return len(self.of(service, operation, reference))

    def balance(self, reference: str | None = None) -> int:
        """What was captured minus what was given back, in minor units: for a reference, or for all."""
        return self._sum(EARNED, reference)

    def reserved(self, reference: str | None = None) -> int:
        """How many pieces of stock are still reserved: for a reference, or for all."""
        return self._sum(HELD, reference)

    def sums(self) -> dict[str, dict[str, int]]:
        """For each reference what was done, as `service.operation`, with the sum of its amounts."""
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in self._entries:
            sums[entry.reference][f"{entry.service}.{entry.operation}"] += entry.amount
        return {reference: dict(of) for reference, of in sums.items()}

    def doubled(self, intended: Mapping[str, int] | None = None) -> list[Doubled]:
        """What was done more often than intended, or more than once under one key.

        intended: how often something may be done for one reference and item, by `service.operation`; once
        where nothing is said. Two partial refunds are meant with `{"payment.refund": 2}`.
        """
        limits = intended or {}
        groups: dict[tuple[str, str, str, str], list[Entry]] = defaultdict(list)
        for entry in self._entries:
            groups[entry.service, entry.operation, entry.reference, entry.item].append(entry)
        return [
            Doubled(*what, tuple(entries))
            for what, entries in groups.items()
            if len(entries) > limits.get(f"{what[0]}.{what[1]}", 1) or _one_key_twice(entries)
        ]

    def document(self) -> dict[str, Any]:
        """The ledger as JSON."""
        return {"entries": [asdict(entry) for entry in self._entries], "sums": self.sums()}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Ledger:
        """The ledger of such a document."""
        return cls(Entry(**entry) for entry in document["entries"])

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._by_reference[entry.reference].append(entry)

    def _sum(self, signs: Mapping[tuple[str, str], int], reference: str | None) -> int:
        return sum(
            signs.get((entry.service, entry.operation), 0) * entry.amount
            for entry in self.of(reference=reference)
        )


def _one_key_twice(entries: Iterable[Entry]) -> bool:
    keys = Counter(entry.key for entry in entries if entry.key is not None)
    return any(count > 1 for count in keys.values())
