"""`./demo`: two applications, each by hand and declared, the same attacks, one table.

The exit code is 0 when the declared ones held everything.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import signal
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from avow.cli.target import load_target
from avow.errors import AvowError, EnvironmentFault, UsageError
from examples.demo.attack import Attack, Outcome, Strikes
from examples.demo.backend import Server, database_of
from examples.demo.by_hand import LOCK_S
from examples.demo.checkout.money import euros
from examples.demo.declared import ROOT, Declared
from examples.demo.home import own_home
from examples.demo.pair import APPLICATIONS, Pair, start, target_of
from examples.demo.receipt import leave
from examples.demo.table import foot, head, quote, row, say, total

INTERRUPTED = 130
MONEY = "money that doesn't add up"

Chosen = dict[str, Sequence[Attack[Any]]]
"""The attacks to carry out, by application; none without any."""


def main() -> int:
    """0 all held, 1 the declared one did not hold, 2 wrong usage, 3 this machine stands in the way."""
    parser = argparse.ArgumentParser(
        prog="./demo", description="Two backends, written by hand and declared, under the same attacks."
    )
    parser.add_argument("--stay", action="store_true", help="leave the servers running until Ctrl-C")
    parser.add_argument(
        "--only", default=[], action="append", metavar="WORD",
        help="only attacks with this word in their name; may be said several times",
    )  # fmt: skip
    parser.add_argument(
        "--declared",
        type=Path,
        default=[],
        action="append",
        metavar="FOLDER",
        help="attack your copy of examples/enrollment or examples/checkout; may be said of both",
    )
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # a terminal that is closed says SIGHUP
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        chosen, targets = _choose(options.only), _targets(options.declared)
        # The home goes first, with a database that nobody needs any more: that is faster than to stop it.
        with ExitStack() as databases, own_home(ROOT / ".avow", "demo") as home:
            return show(targets, chosen, home, databases, options.stay)
    except AvowError as error:
        mend = f"\n{error.mend}" if isinstance(error, EnvironmentFault | UsageError) else ""
        print(f"\n{error}{mend}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def _choose(words: Sequence[str]) -> Chosen:
    """The attacks with one of the words in their name; all without any. Raises UsageError for none."""
    titles = [attack.title for application in APPLICATIONS.values() for attack in application.attacks]
    for word in words:
        if not any(word in title for title in titles):
            raise UsageError(f"no attack has {word!r} in its name", "Run ./demo to see their names.")
    found = {
        name: [a for a in application.attacks if not words or any(word in a.title for word in words)]
        for name, application in APPLICATIONS.items()
    }
    return {name: attacks for name, attacks in found.items() if attacks}


def _targets(folders: Sequence[Path]) -> dict[str, Path]:
    """Where each application is declared. Raises UsageError for a folder that is none of them."""
    targets = {name: target_of(name) for name in APPLICATIONS}
    for folder in folders:
        name = load_target(str(folder)).name
        if name not in targets:
            raise UsageError(f"{folder} declares {name}", f"The demo attacks {' and '.join(targets)}.")
        targets[name] = folder.resolve()
    return targets


def _end(number: int, _frame: object) -> None:
    """Leave by way of every `finally`."""
    sys.exit(128 + number)


def show(targets: Mapping[str, Path], chosen: Chosen, home: Path, databases: ExitStack, stay: bool) -> int:
    """Everything, on a database in `home`."""
    started = time.monotonic()
    say(f"Starting a PostgreSQL of its own, and on it {' and '.join(chosen)}, each twice ...")
    with ExitStack() as stack:
        pairs = {name: APPLICATIONS[name].set_up(targets[name], home, stack, databases) for name in chosen}
        start([*pairs.values()])
        _introduce(_version(next(iter(pairs.values())).declared), time.monotonic() - started)
        broken = asyncio.run(_attack(chosen, pairs))
        broken += _ask(pairs)
        _close(broken, time.monotonic() - started)
        if stay:
            _stay(pairs)
        return 1 if broken else 0


def _introduce(version: str, seconds: float) -> None:
    say(f"Python {platform.python_version()}, PostgreSQL {version}, ready after {seconds:.1f} s.")
    say()
    say("The same backends twice: written by hand with care (examples/twins), and declared.")
    say("Both are attacked in the same way. Everything below happens now.")
    say()


async def _attack(chosen: Chosen, pairs: Mapping[str, Pair]) -> list[str]:
    """All backends at the same time, each row printed in its turn; the titles that did not hold."""
    head()
    results: dict[str, tuple[Outcome, Outcome]] = {}
    async with asyncio.TaskGroup() as group:
        strikes = {
            name: [Strikes(group, backend, chosen[name]) for backend in pair] for name, pair in pairs.items()
        }
        for name, attacks in chosen.items():
            for attack in attacks:
                with _under_way(attack.title):
                    by_hand, declared = [await each.of(attack.title) for each in strikes[name]]
                row(attack.title, (by_hand, declared))
                results[attack.title] = (by_hand, declared)
    foot(list(results.values()))
    broken = [title for title, (_, ours) in results.items() if not ours.held]
    for pair in pairs.values():
        if pair.astray_cents is not None:
            by_hand, declared = [await pair.astray_cents(backend) for backend in pair]
            total(MONEY, (euros(by_hand), euros(declared)))
            broken += [MONEY] * bool(declared)
    return broken


@contextmanager
def _under_way(title: str) -> Generator[None]:
    """Somebody who looks on sees what is going on."""
    live = sys.stdout.isatty()
    if live:
        print(f"  {title} ...", end="", flush=True)
    yield
    if live:
        print("\r\x1b[K", end="")


def _ask(pairs: Mapping[str, Pair]) -> list[str]:
    """One `why`, and a `verify` of each, as the commands that they are; those that didn't end well."""
    asked = [(name, pair.declared, ["verify"]) for name, pair in pairs.items()]
    if "enrollment" in pairs:
        course = asyncio.run(_fullest(pairs["enrollment"].declared))
        asked.insert(0, ("enrollment", pairs["enrollment"].declared, ["why", f"courses/{course}", "taken"]))
    failed: list[str] = []
    for name, declared, arguments in asked:
        say()
        say(f"{name}$ avow {' '.join(arguments)}")
        said = declared.avow(*arguments)
        quote(said.stdout + said.stderr * (said.returncode != 0))
        if said.returncode != 0:
            failed.append(f"avow {arguments[0]} of {name}")
    if "enrollment" in pairs:
        failed += leave(pairs["enrollment"].declared)
    return failed


def _close(broken: Sequence[str], seconds: float) -> None:
    say()
    say(
        f"{seconds:.0f} s in all. What the one by hand holds, it holds by care; where it breaks, and why"
        " careful teams write it so, stands in examples/twins/README.md."
        f" Its locks of dead processes end after {LOCK_S} s here, so that you needn't wait for 30."
        " The two weeks that a transfer may take are ended by SQL, in both."
    )
    say("Not shown: load, several servers at once, loss of power.")
    if broken:
        say()
        say(f"THE DECLARED ONE DID NOT HOLD: {', '.join(broken)}.")


PEOPLE = {
    "enrollment": (("rita", "registrar"), ("dora", "dean"), ("ana",)),
    "checkout": (("dan", "shopkeeper"), ("ann",)),
}
"""Who gets a token with --stay."""
LISTED = {"enrollment": "enrollments", "checkout": "orders"}
"""What is worth a first look."""


def _stay(pairs: Mapping[str, Pair]) -> None:
    """Print where everything is, and wait for Ctrl-C."""
    for name, pair in pairs.items():
        print("\n".join(_places(name, pair)), flush=True)
    print("\n  All run until Ctrl-C, which ends them and removes their databases.", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


def _places(name: str, pair: Pair) -> list[str]:
    declared = pair.declared
    lines = [
        "",
        f"  {name}",
        f"  declared   {declared.url}",
        f"  by hand    {pair.by_hand.url}",
        f"  database   {declared.admin_url}",
        "",
        "  Tokens for the declared one, each valid for 30 days:",
    ]
    for subject, *roles in PEOPLE[name]:
        lines += ["", f"  {subject}, {roles[0] if roles else 'nobody special'}"]
        lines.append(declared.token(subject, *roles))
    return [
        *lines,
        "",
        f"  curl -H 'Authorization: Bearer TOKEN' {declared.url}/{LISTED[name]}",
        f"  cd '{declared.target}'",
        f"  export AVOW_DATABASE_URL='{declared.admin_url}'",
        f"  '{Path(sys.executable).with_name('avow')}' verify",
    ]


def _version(declared: Server) -> str:
    """PostgreSQL's."""

    async def ask() -> str:
        async with database_of(declared) as database:
            query = "SELECT split_part(current_setting('server_version'), ' ', 1)"
            return str(await database.fetchval(query))

    return asyncio.run(ask())


async def _fullest(declared: Declared) -> str:
    """The course with the most places taken: `why` has the most to say of it."""
    async with database_of(declared) as database:
        query = "SELECT id FROM enrollment.courses ORDER BY taken DESC, id LIMIT 1"
        return str(await database.fetchval(query))


if __name__ == "__main__":
    sys.exit(main())
