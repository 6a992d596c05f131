"""The replay of loan applications adds up, and its account notices when something doesn't."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.replay_bpic2012.__main__ import DATA
from bench.replay_bpic2012.account import Account, settle
from bench.replay_bpic2012.expected import expect
from bench.replay_bpic2012.log import read_cases
from bench.replay_bpic2012.replay import Replay
from bench.replay_bpic2012.run import FAULTS, TARGET, replay_cases
from examples.demo.declared import Declared
from tests.acceptance.replays import needs, plant, replay, set_up

EVERY_300TH = 300
BEGIN = datetime(2011, 10, 1, 8, tzinfo=UTC)
HEAD = (
    "case:REG_DATE,case:concept:name,case:AMOUNT_REQ,event_index,org:resource,lifecycle:transition,"
    "concept:name,time:timestamp"
)
LEADS = "W_Afhandelen leads"

_IN = [("112", "A_SUBMITTED"), ("112", "A_PARTLYSUBMITTED"), ("112", "A_PREACCEPTED"), ("ann", "A_ACCEPTED"),
       ("ann", "A_FINALIZED"), ("ann", "O_SELECTED"), ("ann", "O_CREATED"), ("ann", "O_SENT")]  # fmt: skip
_OUT = ["A_REGISTERED", "A_ACTIVATED", "A_APPROVED", "O_ACCEPTED"]
CASES: dict[str, list[tuple[str, str]]] = {
    # What is approved in one instant with what follows from it comes first.
    "paid": [*_IN, *(("bea", event) for event in _OUT)],
    "one-person": [*_IN, *(("ann", event) for event in _OUT)],
    "another-offer": [
        *_IN, ("ann", "O_SELECTED"), ("ann", "O_CANCELLED"), ("ann", "O_CREATED"), ("112", "A_CANCELLED"),
    ],
    "two-offers": [*_IN, ("ann", "O_SELECTED"), ("ann", "O_CREATED"), ("ann", "O_SENT")],
    "work": [
        *_IN[:2], ("", f"{LEADS} START"), ("112", f"{LEADS} SCHEDULE"), ("", f"{LEADS} START"),
        ("ann", f"{LEADS} COMPLETE"), ("", f"{LEADS} COMPLETE"), ("", f"{LEADS} COMPLETE"),
        ("112", f"{LEADS} SCHEDULE"), ("112", "A_DECLINED"), ("ann", f"{LEADS} START"),
    ],
}  # fmt: skip
REFUSED = {
    ("A_APPROVED", "four-eyes"): 1,
    ("A_REGISTERED", "state-conflict"): 1,
    ("A_ACTIVATED", "state-conflict"): 1,
    ("O_CREATED", "unique-violated"): 1,
    ("O_SENT", "state-conflict"): 1,
    (f"{LEADS} START", "never-begun"): 1,
    (f"{LEADS} COMPLETE", "guard-failed"): 1,
    (f"{LEADS} COMPLETE", "state-conflict"): 1,
    (f"{LEADS} START", "guard-failed"): 1,
}
ENDS = {
    ("paid", "application"): "completed",
    ("paid", "offer 1"): "accepted",
    ("one-person", "application"): "finalized",
    ("one-person", "offer 1"): "accepted",
    ("another-offer", "application"): "cancelled",
    ("another-offer", "offer 1"): "cancelled",
    ("another-offer", "offer 2"): "created",
    ("two-offers", "application"): "finalized",
    ("two-offers", "offer 1"): "sent",
    ("two-offers", "offer 2"): "selected",
    ("work", "application"): "declined",
    ("work", "Afhandelen leads"): "scheduled",
}


@pytest.fixture(scope="module")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five applications, with every way in which an event is refused. What ends them is of one instant."""
    path, lines = tmp_path_factory.mktemp("bpic2012") / "small.csv.gz", [HEAD]
    for case, events in CASES.items():
        for place, (by, event) in enumerate(events, 1):
            activity, _, work = event.rpartition(" ") if event.startswith("W_") else (event, "", "COMPLETE")
            at = BEGIN + timedelta(hours=len(_IN) + 1 if event in _OUT else place)
            lines.append(f"{BEGIN.isoformat()},{case},5000,{place},{by},{work},{activity},{at.isoformat()}")
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")
    return path


def test_what_must_come_of_a_case_follows_from_the_file(small_log: Path) -> None:
    found = expect(small_log, 1)
    assert found.ends == ENDS
    assert found.refused == REFUSED
    assert found.four_eyes == {"one-person"}
    assert +found.tasks == {"approve": 2, "begin": 1}


def test_only_an_approval_is_read_before_what_stands_above_it(small_log: Path) -> None:
    events = {case.name: [event.name for event in case.events] for case in read_cases(small_log, 1)}
    assert events["paid"][-4:] == ["A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "O_ACCEPTED"]
    for name in ("another-offer", "two-offers", "work"):
        assert events[name] == [event for _, event in CASES[name]]


@needs(DATA)
def test_real_applications_are_as_their_log_demands_after_copies_and_crashes(tmp_path: Path) -> None:
    options = ("--every", str(EVERY_300TH), "--kills", "1")
    found = replay("replay_bpic2012", DATA, tmp_path / "result.json", *options)
    assert {name: found[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert found["cases"] == 44
    assert found["killed"] == {"server": 1, "worker": 1}
    assert found["refused"]["state-conflict"] > 0
    assert found["verify"] is True


@dataclass
class Replayed:
    """A finished replay whose database is still there."""

    declared: Declared
    replay: Replay
    log: Path

    def account(self) -> Account:
        return asyncio.run(
            settle(self.declared.admin_url, self.declared.system, self.replay, expect(self.log, 1))
        )[0]

    def plant(self, statement: str) -> None:
        plant(self.declared.admin_url, statement)


@pytest.fixture(scope="module")
def replayed(small_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Replayed]:
    with set_up(TARGET, tmp_path_factory.mktemp("replayed")) as declared:
        replay, _, _, _ = asyncio.run(replay_cases(declared, read_cases(small_log, 1), 0))
        yield Replayed(declared, replay, small_log)


def test_five_applications_of_every_sort_add_up(replayed: Replayed) -> None:
    account = replayed.account()
    assert account.adds_up, account.examples
    assert replayed.replay.refused == REFUSED
    assert replayed.replay.refused_in["four-eyes"] == {"one-person"}


BY_ANN = """
UPDATE avow.audit SET header = convert_to(
    jsonb_set(convert_from(header, 'UTF8')::jsonb, '{actor,subject}', '"ann"')::text, 'UTF8')
WHERE convert_from(header, 'UTF8')::jsonb ->> 'transition' = 'approve'
"""


def test_the_account_finds_what_does_not_add_up(replayed: Replayed) -> None:
    """Planted one after the other: one person in both places, a task that is gone, a refusal, another end."""
    replayed.plant(BY_ANN)
    assert replayed.account().by_one_person == 1
    replayed.plant("DELETE FROM avow.task WHERE step = 'begin'")
    assert replayed.account().wrong_tasks == 1
    replayed.replay.refused += Counter({("O_SENT", "state-conflict"): 1})
    assert replayed.account().wrong_refusals == 1
    replayed.plant("UPDATE loans.offers SET state = 'declined' WHERE state = 'created'")
    assert replayed.account().wrong_ends == 1
