"""The page of a run is read in a real browser, from a file: without errors, on a telephone, in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avow.prove.finding import Point
from avow.prove.model import Model
from avow.prove.phase import Bench
from avow.prove.report.page import as_page
from avow.prove.run import Report
from tests.acceptance.browser import Browser, browsing, found
from tests.canaries.mutants import counted
from tests.unit.prove.systems import SOUND, UNSOUND

PROGRAM = found()
TOLD = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
NARROW = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium here, so no page was opened: install the package `chromium`"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(PROGRAM or "", tmp_path_factory.mktemp("profile")) as opened:
        opened.call("Log.enable", page=True)
        opened.call("Runtime.enable", page=True)
        yield opened


async def open_page(browser: Browser, bench: Bench, folder: Path) -> None:
    """Open the page of a run of the model, with crash points as a crash phase gives them."""
    model = await Model().run(bench, counted(2_000))
    model = replace(
        model, points=(Point("Book.lend", 0, "load", 3, 0), Point("Book.lend", 1, "commit", 3, 1))
    )
    report = Report(bench.system.name, bench.system.fingerprint.hex(), 7, 20, 3, (("model", model),), "18.4")
    file = folder / "report.html"
    file.write_text(as_page(bench.system, report, bench.coverage, {0: "avow prove . --replay x"}), "utf-8")
    browser.events.clear()
    browser.open(file)
    browser.evaluate(
        "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
    )


@pytest.mark.parametrize(("system", "verdict"), [(SOUND, "held"), (UNSOUND, "broke")])
async def test_it_opens_by_itself_and_says_the_verdict_first(
    browser: Browser, system: object, verdict: str, tmp_path: Path
) -> None:
    await open_page(browser, Bench(SOUND if system is SOUND else UNSOUND, 7), tmp_path)
    assert browser.evaluate("document.body.firstElementChild.className") == f"verdict {verdict}"
    assert browser.evaluate("performance.getEntriesByType('resource').length") == 0
    assert browser.evaluate("document.querySelectorAll('.finding svg').length") == (verdict == "broke")
    assert browser.evaluate("document.querySelector('.chips .broke').textContent") == "commit 3, 1 broke"
    assert [event for event in browser.events if event["method"] in TOLD] == []


async def test_nothing_is_cut_off_on_a_telephone(browser: Browser, tmp_path: Path) -> None:
    await open_page(browser, Bench(UNSOUND, 7), tmp_path)
    browser.call("Emulation.setDeviceMetricsOverride", page=True, **NARROW)
    assert browser.evaluate("document.documentElement.scrollWidth") == 400
    assert browser.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "auto"
    browser.call("Emulation.clearDeviceMetricsOverride", page=True)


async def test_it_is_dark_in_the_dark(browser: Browser, tmp_path: Path) -> None:
    await open_page(browser, Bench(UNSOUND, 7), tmp_path)
    papers = list[int]()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.call("Emulation.setEmulatedMedia", page=True, features=[feature])
        colour = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        papers.append(sum(map(int, colour[4:-1].split(","))))
    assert papers[0] > 700
    assert papers[1] < 100
