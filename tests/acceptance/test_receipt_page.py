"""The page of a receipt checks itself in a real browser, from a file, without a network."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from avow.evidence.note import join
from avow.evidence.receipt import write_page, write_policy
from avow.evidence.verifier import Policy, verify
from avow.evidence.verifier.claim import parse_claim, written
from tests.acceptance.browser import Browser, browsing, found
from tests.unit.evidence.receipts import ALONE, GONE, LOG, WITNESS, WITNESSED, receipt
from tests.unit.evidence.test_claim import FALSE, NEITHER, TRUE
from tests.unit.evidence.test_erased import REFUSED, note_of, put
from tests.unit.evidence.test_hostile_receipt import WRITTEN

PROGRAM = found()
TEMPLATE = (files("avow.evidence") / "receipt.html").read_text("utf-8")
SAMPLE = int(os.environ.get("AVOW_TEST_PAGE_BYTES", "40"))
"""Bytes that are changed in each part of the page. AVOW_TEST_PAGE_BYTES=100000 changes every one."""
VERDICT = """new Promise(done => {
  const look = () => {
    const verdict = document.getElementById("verdict");
    verdict && verdict.className ? done(verdict.textContent) : setTimeout(look, 1);
  };
  look();
})"""

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium here, so no page was opened: install the package `chromium`"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(PROGRAM or "", tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def page_of(data: bytes, policy: Policy) -> str:
    return write_page(TEMPLATE, data.decode(), write_policy(policy), verify(data, policy).statement)


def verdict_of(browser: Browser, page: str | bytes, folder: Path) -> str:
    file = folder / "receipt.html"
    file.write_bytes(page if isinstance(page, bytes) else page.encode())
    browser.open(file)
    assert browser.evaluate("location.protocol") == "file:"
    return browser.evaluate(VERDICT)


@pytest.mark.parametrize(
    ("data", "policy"),
    [
        (receipt(), ALONE),
        (receipt(witnessed=True), WITNESSED),
        (receipt(witnessed=True), ALONE),
        (receipt(newest=9), ALONE),
        (receipt(gone=GONE), ALONE),
        (receipt(witnessed=True, newest=9, gone=((0, ("email", "phone")),)), WITNESSED),
        (receipt(newest=7, claim='place.city = "Łódź"'), ALONE),
    ],
)
def test_a_receipt_is_valid_and_says_what_the_verifier_says(
    browser: Browser, data: bytes, policy: Policy, tmp_path: Path
) -> None:
    assert verdict_of(browser, page_of(data, policy), tmp_path) == "VALID"
    statement = browser.evaluate("document.getElementById('statement').textContent")
    assert statement == verify(data, policy).statement


def test_what_only_a_dishonest_log_can_write_is_invalid_here_too(browser: Browser, tmp_path: Path) -> None:
    for name, data in WRITTEN.items():
        page = write_page(TEMPLATE, data.decode(), write_policy(ALONE), "")
        verdict = verdict_of(browser, page, tmp_path)
        assert verdict.startswith("INVALID: "), name
        assert "Error" not in verdict, name
        assert "says something else" not in verdict, name  # as it would of a valid one, shown without words


def test_what_the_log_says_was_erased_is_held_to_the_same_rules_here(
    browser: Browser, tmp_path: Path
) -> None:
    """What it signs that can't be so; what another has signed; what it signed about another entry."""
    good = receipt(gone=GONE)
    forged = {name: (receipt(said=said), why) for name, (said, why) in REFUSED.items()}
    forged["of another entry"] = (put(good, note_of(receipt(gone=GONE, ver=8))), "of another entry")
    forged["altered"] = (put(good, note_of(good).replace("erased 9", "erased 8")), "isn't by the key")
    said = note_of(good).partition("\n\n")[0] + "\n"
    forged["by another"] = (put(good, join(said, WITNESS.sign(said))), "didn't say")
    for name, (data, why) in forged.items():
        verdict = verdict_of(browser, write_page(TEMPLATE, data.decode(), write_policy(ALONE), ""), tmp_path)
        assert verdict.startswith("INVALID: "), name
        assert re.search(why, verdict), (name, verdict)


@pytest.mark.parametrize("part", ["statement", "policy", "receipt"])
def test_any_byte_changed_in_what_the_page_carries_makes_it_invalid(
    browser: Browser, part: str, tmp_path: Path
) -> None:
    """Claim, proof, signatures and header stand in the receipt; what is shown in the statement."""
    page = page_of(receipt(witnessed=True, newest=9, gone=GONE), WITNESSED).encode()
    held = re.search(rf'id="{part}"[^>]*>([^<]*)<'.encode(), page)
    assert held is not None
    begin, end = held.span(1)
    for place in range(begin, end, max(1, (end - begin) // SAMPLE)):
        changed = bytearray(page)
        changed[place] ^= 0x01
        verdict = verdict_of(browser, bytes(changed), tmp_path)
        assert verdict.startswith("INVALID: "), (part, place, page[place - 20 : place + 20])
    assert not browser.evaluate("document.getElementById('statement').textContent")


def test_claims_mean_in_the_page_what_they_mean_to_the_verifier(browser: Browser, tmp_path: Path) -> None:
    """Through the page's own functions, on the header of one receipt."""
    assert verdict_of(browser, page_of(receipt(), ALONE), tmp_path) == "VALID"
    browser.evaluate(
        "const extra = JSON.parse(decoded(base64(RECEIPT.split('\\n')[1].slice(6))));"
        "const header = JSON.parse(extra.header);"
        "const told = claim => {"
        " try { return readClaim(claim).map(c => holds(c, valueOf(c.path, header))).every(Boolean); }"
        " catch (error) { return error instanceof Invalid ? 'neither' : String(error); } }; null"
    )
    for claims, expected in [(TRUE, True), (FALSE, False), (NEITHER, "neither")]:
        for claim in claims:
            text = json.dumps(written(parse_claim(claim)))
            assert browser.evaluate(f"told({text})") == expected, claim


def test_whoever_looks_may_put_other_keys_in_the_place_of_those_of_the_page(
    browser: Browser, tmp_path: Path
) -> None:
    another = ALONE._replace(logs=(LOG.verifier._replace(public=WITNESS.key.public),))
    assert verdict_of(browser, page_of(receipt(), ALONE), tmp_path) == "VALID"
    for policy, verdict in [
        (another, "INVALID: the checkpoint"),
        (ALONE, "VALID"),
        (WITNESSED, "INVALID: the wit"),
    ]:
        browser.evaluate(f"document.getElementById('policy').value = {write_policy(policy)!r}; check()")
        assert browser.evaluate(VERDICT).startswith(verdict)


def test_the_page_says_nothing_before_it_is_checked_and_loads_nothing() -> None:
    page = page_of(receipt(), ALONE)
    assert "VALID" not in page.partition("<script>")[0]
    assert "default-src 'none'" in page
    assert re.findall(r"(?:src|href)=|url\(|import ", page) == []
