"""Policies: which logs are believed, and which witnesses have to stand beside them (c2sp.org/tlog-policy)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from avow.evidence.verifier.note import COSIGNATURE, ED25519, VerifierKey, parse_key
from avow.evidence.verifier.text import Invalid, parse_number

NOBODY = "none"
"""The quorum of a policy that asks for no witness."""
LINES_MAX = 1_000


class Policy(NamedTuple):
    """Whom one believes.

    witnesses: their keys, by the names that groups use. groups: how many of which names are enough.
    quorum: the witness or group that must stand for a checkpoint; NOBODY for none.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str

    def reached(self, by: Collection[VerifierKey]) -> bool:
        """Whether these witnesses are enough."""
        standing = {name for name, key in self.witnesses.items() if key in by}
        for name, (least, members) in self.groups.items():  # each after those that it is made of
            if sum(member in standing for member in members) >= least:
                standing.add(name)
        return self.quorum == NOBODY or self.quorum in standing


def parse_keys(text: str) -> tuple[VerifierKey, ...]:
    """The keys of a log, one a line: what `avow` writes as the log's public key. Raises Invalid."""
    lines = [line.strip(" \t") for line in text.split("\n")]
    found = tuple(parse_key(line) for line in lines if line and not line.startswith("#"))
    if not found or any(key.kind != ED25519 for key in found):
        raise Invalid("not the public key of a log (name+id+base64)")
    return found


def believing(logs: Iterable[VerifierKey]) -> Policy:
    """The policy of whoever has only the keys of logs."""
    return Policy(tuple(logs), {}, {}, NOBODY)


def parse_policy(text: str) -> Policy:
    """Read a policy. Raises Invalid, naming the line."""
    if text.count("\n") > LINES_MAX or any(c < " " and c not in "\t\n" for c in text):
        raise Invalid(f"a policy is at most {LINES_MAX:,} lines of text")
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            try:
                reader.read(words)
            except Invalid as error:
                raise Invalid(f"line {number} of the policy: {error}") from None
    return reader.policy()


def policy_of(key: str | None, policy: str | None) -> Policy:
    """Whom somebody believes who gives the text of a key, of a policy, or of both. Raises Invalid."""
    logs = () if key is None else parse_keys(key)
    told = believing(()) if policy is None else parse_policy(policy)
    if not (logs or told.logs):
        raise Invalid("whom do you believe? give --key, or a --policy with a log")
    return told._replace(logs=(*told.logs, *(key for key in logs if key not in told.logs)))


class _Reader:
    """What has been read of a policy."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def read(self, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self._logs.append(self._key(key, ED25519, self._logs))
            case ["witness", name, key] | ["witness", name, key, _]:
                self._demand_free(name)
                self._witnesses[name] = self._key(key, COSIGNATURE, self._witnesses.values())
            case ["group", name, least, *members] if members:
                self._demand_free(name)
                self._groups[name] = self._group(least, members)
            case ["quorum", name]:
                if self._quorum is not None:
                    raise Invalid("there is a quorum already")
                if name != NOBODY:
                    self._demand_known(name)
                self._quorum = name
            case _:
                raise Invalid("neither a log, a witness, a group nor a quorum")

    def policy(self) -> Policy:
        if self._quorum is None:
            raise Invalid("the policy has no quorum line")
        return Policy(tuple(self._logs), self._witnesses, self._groups, self._quorum)

    def _key(self, text: str, kind: int, others: Iterable[VerifierKey]) -> VerifierKey:
        key = parse_key(text)
        if key.kind != kind:
            raise Invalid("the key is of another kind than is needed here")
        if any(other.public == key.public for other in others):
            raise Invalid("the same key stands there twice")
        return key

    def _group(self, least: str, members: list[str]) -> tuple[int, tuple[str, ...]]:
        for member in members:
            self._demand_known(member)
            if member in self._members:
                raise Invalid(f"{member} is in a group already")
            self._members.add(member)
        count = {"all": len(members), "any": 1}.get(least) or parse_number(least)
        if not 1 <= count <= len(members):
            raise Invalid(f"{least} of {len(members)} can't be reached, or is nothing")
        return count, tuple(members)

    def _demand_free(self, name: str) -> None:
        if name == NOBODY or name in self._witnesses or name in self._groups:
            raise Invalid(f"the name {name} is taken")

    def _demand_known(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise Invalid(f"{name} is named before it is defined")
