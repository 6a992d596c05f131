"""`./demo` shows what happened: its table agrees with its verdict, and a weaker declaration is found out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from examples.demo.__main__ import MONEY
from examples.demo.checkout.attacks import PRICE
from examples.demo.checkout.money import euros
from examples.demo.pair import APPLICATIONS
from examples.demo.table import COLUMN_WIDTHS, WIDTH_MAX
from tests.acceptance.command_line import avow

ROOT = Path(__file__).parents[2]
RUN_TIMEOUT_S = 600
TITLES = {attack.title for application in APPLICATIONS.values() for attack in application.attacks}


@dataclass(frozen=True)
class Shown:
    """What a demo printed, and its table read back: the cells of each attack."""

    exit_code: int
    text: str
    by_hand: dict[str, str]
    declared: dict[str, str]
    foot: tuple[str, str]
    money: tuple[str, str] | None


def start(
    *arguments: str, root: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", *arguments],
        cwd=root,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(demo: subprocess.Popen[str]) -> Shown:
    try:
        text, errors = demo.communicate(timeout=RUN_TIMEOUT_S)
    finally:
        end(demo)
    cells = [cells_of(line) for line in text.splitlines()]
    rows = [row for row in cells if row[0] in TITLES]
    foots = [row for row in cells if row[0] == "held" and " of " in row[1]]
    assert len(foots) == 1, text + errors
    return Shown(
        exit_code=demo.returncode,
        text=text,
        by_hand={title: by_hand for title, by_hand, _ in rows},
        declared={title: declared for title, _, declared in rows},
        foot=(foots[0][1], foots[0][2]),
        money=next(((by_hand, declared) for title, by_hand, declared in cells if title == MONEY), None),
    )


def end(demo: subprocess.Popen[str]) -> None:
    """Whatever the test has come to: leave nothing running, and nothing open."""
    demo.kill()
    demo.wait()
    for stream in (demo.stdout, demo.stderr):
        assert stream is not None
        stream.close()


def cells_of(line: str) -> tuple[str, str, str]:
    """A line cut at the table's columns."""
    first, second, _ = COLUMN_WIDTHS
    return (
        line[2 : 2 + first].strip(),
        line[3 + first : 3 + first + second].strip(),
        line[4 + first + second :].strip(),
    )


def held(cells: dict[str, str]) -> set[str]:
    return {title for title, text in cells.items() if text.startswith("held ")}


def leftovers() -> set[Path]:
    return set((ROOT / ".avow").glob("demo-*"))


def ended_by(number: signal.Signals) -> set[Path]:
    """What is left of a demo that is ended once its servers run. They hold its pipes too: they have ended."""
    before = leftovers()
    demo = start("--only", "stale")
    try:
        assert demo.stdout is not None
        while "ready after" not in demo.stdout.readline():
            assert demo.poll() is None
        demo.send_signal(number)
        demo.communicate(timeout=RUN_TIMEOUT_S)
    finally:
        end(demo)
    return leftovers() - before


@dataclass(frozen=True)
class Staying:
    """A demo that stays, and a client of what it declared."""

    process: subprocess.Popen[str]
    client: httpx2.Client

    def answers(self) -> None:
        """Its one course is shown."""
        answer = self.client.get("/courses")
        assert (answer.status_code, len(answer.json()["items"])) == (200, 1)


@pytest.fixture(scope="module")
def staying() -> Iterator[Staying]:
    """A database that the user has named is left alone."""
    nowhere = {"AVOW_DATABASE_URL": "postgresql://nowhere.invalid/none"}
    demo = start("--stay", "--only", "neighbour", environment=nowhere)
    assert demo.stdout is not None
    lines: list[str] = []
    try:
        for line in demo.stdout:
            lines.append(line.rstrip())
            if "until Ctrl-C" in line:
                break
        url = next(line.split()[1] for line in lines if line.startswith("  declared   http"))
        token = lines[next(number for number, line in enumerate(lines) if line.startswith("  rita,")) + 1]
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=url, headers=headers, timeout=RUN_TIMEOUT_S, trust_env=False) as client:
            yield Staying(demo, client)
    finally:
        end(demo)


def test_the_declared_one_holds_everything_and_the_table_says_what_each_did(staying: Staying) -> None:
    """Beside another one that stays, and neither is in the other's way; what a killed one left is removed."""
    killed = ended_by(signal.SIGKILL)
    assert len(killed) == 1
    shown = finish(start())
    assert shown.exit_code == 0, shown.text
    assert not killed & leftovers()
    staying.answers()
    assert set(shown.by_hand) == set(shown.declared) == TITLES
    assert held(shown.declared) == TITLES
    assert TITLES - held(shown.by_hand) == {
        "kill -9 after the commit", "a state edited with psql", "cancel during capture",
    }  # fmt: skip
    assert shown.foot == (f"{len(held(shown.by_hand))} of {len(TITLES)}", f"{len(TITLES)} of {len(TITLES)}")
    assert shown.money == (euros(PRICE), euros(0)), "one of the two orders was paid for nothing"
    assert all(text.startswith(("held ", "BROKE")) for text in shown.by_hand.values())
    assert "taken = 1" in shown.text
    assert "Not shown:" in shown.text
    assert [line for line in shown.text.splitlines() if len(line) > WIDTH_MAX] == []
    left = ROOT / ".avow" / "out"
    checked = avow("receipt", "verify", str(left / "receipt.tlog-proof"), "--key", str(left / "log.pub"))
    assert checked.stdout.startswith("VALID\nstate = "), checked.stdout + checked.stderr
    assert "--key .avow/out/log.pub" in shown.text


WEAKER = {
    "enrollment": {
        " & ~performed(verify)": "",
        "invariant(taken <= seats,": "invariant(taken <= 9,",
    },
    "checkout": {
        "invariant(used <= limit,": "invariant(used <= 9,",
        "limit=order.card_cents, weight=on_first": "limit=10 * order.card_cents, weight=on_first",
        "step(authorize_card, undo=void_payment,": "step(authorize_card, undo=nothing,",
        "step(capture_payment, pivot=True,": "step(capture_payment, undo=nothing,",
        "step(capture_second, retry=forever,": "step(capture_second, pivot=True,",
    },
}
"""Without four eyes and the count of places; without the limits of a coupon and of refunds, and with money
that is never let go."""


def weaken(name: str, folder: Path) -> Path:
    """A copy of a declaration that promises less."""
    source = (ROOT / "examples" / name / "system.py").read_text()
    for strong, weak in WEAKER[name].items():
        assert strong in source
        source = source.replace(strong, weak)
    folder.mkdir()
    (folder / "system.py").write_text(source)
    return folder


def test_a_weaker_declaration_is_found_out(tmp_path: Path) -> None:
    """Of both applications, in one run; in folders with a space in their names."""
    root = tmp_path / "a folder"
    shutil.copytree(ROOT / "examples", root / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    arguments = [f"--declared={weaken(name, root / f'weak {name}')}" for name in WEAKER]
    arguments += [f"--only={word}" for word in ("appro", "refunds", "coupon", "cancel")]
    shown = finish(start(*arguments, root=root))
    broken = {
        "two approvals for one place": "BROKE approved 2 of 2",
        "approving one's own check": "BROKE accepted (200),",
        "cancel during capture": "BROKE 2 cancelled, 100.00",
        "two refunds at once": "BROKE granted 2 of 2,",
        "a coupon's last use, twice": "BROKE granted 2 of 2",
    }
    assert shown.declared == broken
    assert held(shown.by_hand) == broken.keys() - {"cancel during capture"}, "attacked in the same way"
    assert (shown.foot, shown.exit_code) == (("4 of 5", "0 of 5"), 1)
    assert shown.money == (euros(PRICE), euros(2 * PRICE))
    named = " ".join(shown.text.rpartition("THE DECLARED ONE DID NOT HOLD: ")[2].split())
    assert named == f"{', '.join([*broken, MONEY])}."


def test_with_stay_the_servers_run_until_interrupted(staying: Staying) -> None:
    staying.answers()
    staying.process.send_signal(signal.SIGINT)
    assert staying.process.wait(RUN_TIMEOUT_S) == 0
    with pytest.raises(httpx2.TransportError):
        staying.client.get("/courses")


def test_an_ended_demo_leaves_no_server_and_no_database() -> None:
    assert ended_by(signal.SIGTERM) == set()


def test_an_attack_that_is_not_there_is_a_wrong_usage() -> None:
    demo = start("--only", "no such attack")
    try:
        text, errors = demo.communicate(timeout=RUN_TIMEOUT_S)
    finally:
        end(demo)
    assert (demo.returncode, text) == (2, "")
    assert re.search("no attack has .*no such attack", errors)


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".avow").touch()
    demo = start(root=tmp_path)
    try:
        _, errors = demo.communicate(timeout=RUN_TIMEOUT_S)
    finally:
        end(demo)
    assert demo.returncode == 3
    assert errors.startswith(f"\n{tmp_path}/.avow can't be written")
    assert errors.endswith("clone it to one of your own.\n")
