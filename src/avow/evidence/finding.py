"""What verification can find: one code per sort of difference, and what it means.

Pure. A finding says where and what; it must never hold a value of a record, since it is printed and logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FINDINGS: Final[Mapping[str, str]] = {
    "entry-altered": "The entry's bytes no longer have the hash that was stored with them.",
    "entry-unreadable": "The entry isn't a header of a format that is known.",
    "entry-missing": "A version has no entry.",
    "entry-twice": "A version has two entries.",
    "entry-misplaced": "The entry says that it belongs to another record or version.",
    "entries-swapped": "Two entries of a record stand in each other's place.",
    "entry-reordered": "The entry was numbered before the one that it follows.",
    "entry-time": "The stored time of the entry isn't the time that it states.",
    "link-broken": "The entry names another predecessor than the one that is there.",
    "state-jump": "The entry starts from another state than the one before it left.",
    "boundary-unknown": "The entry names a boundary that was never in force here.",
    "transition-undeclared": "The boundary that the entry names doesn't declare this transition.",
    "field-undeclared": "The boundary that the entry names doesn't declare a field that it changes.",
    "payload-missing": "A long value that the entry names by its hash is gone.",
    "payload-altered": "A long value no longer has the hash that the entry names it by.",
    "disclosure-missing": "Nothing is kept behind a private value, and no entry says that it was erased.",
    "disclosure-edited": "What is kept behind a private value belongs to another one.",
    "disclosure-unreadable": "What is kept behind a private value can't be read, or isn't that value.",
    "disclosure-unknown": "Something is kept behind a private value that the entry doesn't have.",
    "erasure-unfounded": "A private value was erased, but by no entry that may erase.",
    "value-edited": "A field of the row isn't what its history gives.",
    "state-edited": "The row's state isn't the one that its last entry left.",
    "version-edited": "The row's version isn't that of its last entry.",
    "head-edited": "The row names another last entry than the one that is there.",
    "boundary-edited": "The row names another boundary than its last entry.",
    "time-edited": "The row's time of change isn't that of its last entry.",
    "performers-edited": "Who has performed a step, as the row has it, isn't what its history gives.",
    "row-behind": "The row is at an earlier version than its history.",
    "row-missing": "There is a history, and no row.",
    "history-missing": "There is a row, and no history.",
    "kind-unknown": "There are entries of a kind that isn't declared.",
    "table-unknown": "A table among the entities' belongs to none of them, or is read as a part of one.",
    "boundary-altered": "The stored description of a boundary isn't the one that its fingerprint names.",
    "edges-edited": "The transitions that commits are checked against aren't those of the boundary.",
    "work-missing": "The record waits for a call or a time, and the queue doesn't have it.",
    "work-edited": "The queue has a call or a time otherwise than its entry says.",
    "work-unknown": "The queue has a call or a time that no entry has asked for.",
    "task-missing": "The record waits for somebody, or something is stuck, and no inbox has the task.",
    "task-unknown": "There is a task that no entry has asked for, or of what isn't stuck.",
    "leaf-missing": "The entry was passed over: it should be a leaf of the log, and isn't.",
    "leaf-altered": "The leaf isn't the entry that it names.",
    "entry-removed": "The log has a leaf of an entry that is gone.",
    "leaves-altered": "The leaves aren't those that a checkpoint was signed over.",
    "node-altered": "A stored node isn't the hash of the leaves below it.",
    "checkpoint-altered": "A checkpoint isn't signed by its log, or says something else than its note.",
    "cosignature-altered": "What is kept as signed by a witness isn't, or is of no checkpoint that is there.",
    "log-cut": "The log has fewer leaves than it had: it was cut off, or the database was restored.",
    "log-forked": "The log isn't the one that a saved checkpoint is of.",
    "log-altered": "The database says something else of the log than the key and the checkpoints do.",
}
"""Every code of a finding, and what it means."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One difference between what is stored and what must be.

    kind, id: the record; empty for a finding about the whole. version: the entry or the row's version;
    0 where there is none. field: the field or column; empty for the whole record. code: a key of FINDINGS.
    """

    tenant: str
    kind: str
    id: str
    version: int
    field: str
    code: str
    detail: str

    @classmethod
    def of_the_whole(cls, code: str, detail: str) -> Finding:
        """A finding about no record."""
        return cls("", "", "", 0, "", code, detail)
