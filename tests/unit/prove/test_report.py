"""Reports say what was tried, in plain words, and never more than that."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from avow.errors import UsageError
from avow.model.place import Place
from avow.prove.act import Act
from avow.prove.campaign import Campaign
from avow.prove.finding import ALL, Finding, Line, PhaseReport, Tally
from avow.prove.keep import keep, read_kept
from avow.prove.model import Model
from avow.prove.oracle import Break
from avow.prove.phase import Bench, Budget
from avow.prove.report.document import as_document
from avow.prove.report.page import as_page
from avow.prove.report.text import as_text
from avow.prove.run import Report, run
from avow.prove.schedule import Schedule
from avow.prove.story import shown, what
from tests.canaries.mutants import counted
from tests.unit.prove.systems import SOUND, UNSOUND


async def report_of(bench: Bench) -> Report:
    found = await Model().run(bench, counted(2_000))
    return Report(bench.system.name, bench.system.fingerprint.hex(), 7, 20, 3, (("model", found),))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 s"), (60, "1 min"), (79_200, "22 h"), (1_209_601, "14 d 1 s"), (0.5, "0.5 s")],
)
def test_a_time_that_passes_is_told_in_the_units_of_people(seconds: float, said: str) -> None:
    act = Act("command", "Book", "keep", 1, later_s=seconds)
    assert what(SOUND, act) == f"keep Book 1, {said} later"


async def test_what_held_is_said_to_have_held_within_bounds_and_nothing_more() -> None:
    bench = Bench(SOUND, 7)
    report = await report_of(bench)
    text = as_text(report, {})
    assert report.held is True
    assert text.splitlines()[-1].endswith("held within these bounds")
    assert "NOT TRIED" in text
    told = f"{text}{as_page(SOUND, report, bench.coverage, {})}{json.dumps(as_document(SOUND, report))}"
    assert not re.search(r"\bprove[nd]\b|\bcorrect\b|\bsafe\b", told)


async def test_what_broke_is_told_in_words_of_the_declaration_with_its_line() -> None:
    bench = Bench(UNSOUND, 7)
    report = await report_of(bench)
    text = as_text(report, {0: "avow prove . --replay x.json"})
    assert report.held is False
    for told in (
        "BROKE  shelves_stay   A shelf that books stand on stays up.",
        "pull_down Shelf 1",
        "(clerk)",
    ):
        assert told in text
    assert str(UNSOUND.entities["Book"].transitions["keep"].place) in text
    assert "again: avow prove . --replay x.json" in text
    assert sum(line.startswith("  -> ") for line in text.splitlines()) in (2, 3)
    document = as_document(UNSOUND, report)
    assert (document["verdict"], len(document["findings"])) == ("broke", 1)


async def test_the_page_needs_nothing_but_itself() -> None:
    bench = Bench(UNSOUND, 7)
    page = as_page(UNSOUND, await report_of(bench), bench.coverage, {})
    assert "<svg" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script|http", page)
    assert "Book: " in page


async def test_a_kept_finding_is_read_again_and_another_file_is_refused(tmp_path: Path) -> None:
    report = await report_of(Bench(UNSOUND, 7))
    (finding,) = report.findings
    file = keep(tmp_path, "x", UNSOUND, finding, "18.4")
    kept = read_kept(file, UNSOUND)
    assert (kept.phase, kept.schedule) == ("model", finding.schedule)
    assert kept.fingerprint == UNSOUND.fingerprint.hex()
    assert keep(tmp_path, "x", UNSOUND, finding, "18.4") == file
    compile(file.with_name(f"test_{file.stem}.py").read_text("utf-8"), "test", "exec")
    told = json.loads(file.read_text("utf-8"))
    assert "TARGET = 'x'" in file.with_name(f"test_{file.stem}.py").read_text("utf-8")
    unfit = {**told["schedule"], "acts": [{**told["schedule"]["acts"][0], "input": {"seats": {"x": 1}}}]}
    for other in ([], {**told, "format": 2}, {**told, "schedule": unfit}):
        file.write_text(json.dumps(other), "utf-8")
        with pytest.raises(UsageError, match="isn't a schedule"):
            read_kept(file, UNSOUND)


async def test_a_test_can_be_read_whatever_stands_in_a_finding(tmp_path: Path) -> None:
    report = await report_of(Bench(UNSOUND, 7))
    said = 'Nobody may write """ or \\N or say "no"'
    line = Line("Ada", said, "", True, "Book 1")
    finding = replace(report.findings[0], sentence=said, story=(line,))
    file = keep(tmp_path, "x", UNSOUND, finding, "18.4")
    source = file.with_name(f"test_{file.stem}.py").read_text("utf-8")
    assert ast.get_docstring(ast.parse(source)) == said


def test_a_value_is_told_in_one_line() -> None:
    assert shown("a\n\x1b[2Jb") == "a\\n\\x1b[2Jb"


async def test_what_comes_to_the_same_when_it_is_shrunk_is_told_once() -> None:
    async def breaks(_: Schedule) -> list[Break]:
        return [Break("P", "It broke.", "")]

    def tell(schedule: Schedule, broke: Break) -> Finding:
        return Finding("x", broke.promise, broke.sentence, Place(), schedule, (), "")

    campaign = Campaign(Budget(10.0), breaks, tell)
    for fault in ("one", "other", "third"):
        await campaign.attempt(fault, Schedule())
    assert len(campaign.findings) == 1
    assert campaign.broke.total() == 3


class _Held:
    name, share, quick = "held", 1.0, True

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        return PhaseReport((Tally("nothing", 1, 1, 0, ALL),))

    async def replay(self, bench: Bench, schedule: Schedule) -> None:
        return None


class _Failing(_Held):
    name = "failing"

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        raise OSError("no such server")


async def test_a_promise_that_several_phases_break_is_told_once_by_the_first() -> None:
    class Again(Model):
        name = "again"

        async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
            return await Model().run(bench, counted(2_000))

    report = await run(Bench(UNSOUND, 3), [Again(), Again()], 1)
    assert [(one.promise, one.seed) for one in report.findings] == [("shelves_stay", 3)]
    assert [tally.broke for _, one in report.phases for tally in one.tallies] == [1, 0, 1, 0]


async def test_a_planted_defect_that_is_not_caught_leaves_no_verdict() -> None:
    missed = PhaseReport((Tally("planted defect", 2, 1, 1, ALL),))
    report = Report("library", "", 0, 1, 1, (("self-test", missed),), "", ("a planted defect was not found",))
    assert report.held is None
    assert as_text(report, {}).endswith("no verdict: a planted defect was not found")


async def test_a_phase_that_fails_leaves_no_verdict_and_the_others_their_words() -> None:
    report = await run(Bench(SOUND, 0), [_Failing(), _Held()], 1)
    assert report.held is None
    assert "failing failed with OSError: no such server" in as_text(report, {})
    assert report.tried == 1
    assert (await run(Bench(SOUND, 0), [_Held()], 1)).held is True


async def test_a_quick_run_ends_where_something_broke_and_says_what_it_left_out() -> None:
    class Short(Model):
        async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
            return await Model().run(bench, counted(2_000))

    report = await run(Bench(UNSOUND, 3), [Short(), _Held()], 1, until_broken=True)
    assert [phase for phase, _ in report.phases] == ["model"]
    assert "model: held: a quick run ends where something broke" in as_text(report, {})
    assert len((await run(Bench(SOUND, 3), [Short(), _Held()], 1, until_broken=True)).phases) == 2
