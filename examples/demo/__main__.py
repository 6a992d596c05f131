"""`./demo`: two backends, the same attacks, one table. Exit code 0 when the declared one held everything."""

from __future__ import annotations

import argparse
import asyncio
import platform
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from avow.errors import AvowError, UsageError
from avow.store.install import create_database
from examples.demo.attacks import ATTACKS, Attack, Outcome, strike
from examples.demo.backend import Backend, database_of
from examples.demo.declared import ROOT, Declared
from examples.demo.home import own_home
from examples.demo.table import foot, head, quote, row, say
from examples.demo.twin import KEY_LOCK_S, Twin

TARGET = ROOT / "examples" / "enrollment"
INTERRUPTED = 130


def main() -> int:
    """0 all held, 1 the declared one did not hold, 2 wrong usage, 3 this machine stands in the way."""
    parser = argparse.ArgumentParser(
        prog="./demo", description="One backend, written by hand and declared, under the same attacks."
    )
    parser.add_argument("--stay", action="store_true", help="leave both servers running until Ctrl-C")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="only attacks with this word in their name"
    )
    parser.add_argument(
        "--declared",
        type=Path,
        default=TARGET,
        metavar="FOLDER",
        help="attack your copy of examples/enrollment",
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    try:
        attacks = [attack for attack in ATTACKS if options.only in attack.title]
        if not attacks:
            raise UsageError(f"no attack has {options.only!r} in its name", "Run ./demo to see their names.")
        with own_home(ROOT / ".avow", "demo") as home:
            return show(options.declared.resolve(), attacks, home, options.stay)
    except AvowError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def _end(number: int, _frame: object) -> None:
    """Leave by way of every `finally`."""
    sys.exit(128 + number)


def show(target: Path, attacks: Sequence[Attack], home: Path, stay: bool) -> int:
    """Everything, on a database in `home`."""
    started = time.monotonic()
    say("Starting a PostgreSQL of its own and two backends on it ...")
    declared = Declared.set_up(target, home, lambda _: None)
    twin: Twin | None = None
    try:
        version, twin_url = asyncio.run(_database(declared, "twin"))
        twin = Twin(twin_url)
        twin.start()
        declared.start()
        _introduce(version, time.monotonic() - started)
        results = asyncio.run(_attack(attacks, twin, declared))
        broken = [title for title, (_, ours) in results.items() if not ours.held]
        broken += _ask(declared)
        _close(broken, time.monotonic() - started)
        if stay:
            _stay(twin, declared)
        return 1 if broken else 0
    finally:
        if twin is not None:
            twin.stop()
        declared.stop()


def _introduce(version: str, seconds: float) -> None:
    say(f"Python {platform.python_version()}, PostgreSQL {version}, ready after {seconds:.1f} s.")
    say()
    say("The same enrollment backend twice: written by hand with care (examples/twins), and declared.")
    say("Both are attacked in the same way. Everything below happens now.")
    say()


async def _attack(
    attacks: Sequence[Attack], twin: Backend, declared: Backend
) -> dict[str, tuple[Outcome, Outcome]]:
    """Both at the same time, attack by attack; each row is printed when both are done."""
    head()
    results: dict[str, tuple[Outcome, Outcome]] = {}
    live = sys.stdout.isatty()
    for attack in attacks:
        if live:
            print(f"  {attack.title} ...", end="", flush=True)
        pair = await asyncio.gather(strike(attack, twin), strike(attack, declared))
        if live:
            print("\r\x1b[K", end="")
        row(attack.title, pair)
        results[attack.title] = pair
    foot(list(results.values()))
    return results


def _ask(declared: Declared) -> list[str]:
    """One `why` and one `verify`, as the commands that they are; those that didn't end well."""
    course = asyncio.run(_fullest(declared))
    failed: list[str] = []
    for arguments in (["why", f"courses/{course}", "taken"], ["verify"]):
        say()
        say(f"$ avow {' '.join(arguments)}")
        said = declared.avow(*arguments)
        quote(said.stdout + said.stderr * (said.returncode != 0))
        if said.returncode != 0:
            failed.append(f"avow {arguments[0]}")
    return failed


def _close(broken: Sequence[str], seconds: float) -> None:
    say()
    say(
        f"{seconds:.0f} s in all. What the one by hand holds, it holds by care; where it breaks, and why"
        " careful teams write it so, stands in examples/twins/README.md."
        f" Its locks of dead requests end after {KEY_LOCK_S} s here, so that you needn't wait for 30."
    )
    say("Not shown: load, several servers at once, loss of power, calls to the outside.")
    if broken:
        say()
        say(f"THE DECLARED ONE DID NOT HOLD: {', '.join(broken)}.")


def _stay(twin: Twin, declared: Declared) -> None:
    """Print where everything is, and wait for Ctrl-C."""
    lines = [
        "",
        f"  declared   {declared.url}",
        f"  by hand    {twin.url}",
        f"  database   {declared.admin_url}",
        "",
        "  Tokens for the declared one, each valid for 30 days:",
    ]
    for subject, *roles in (("rita", "registrar"), ("dora", "dean"), ("ana",)):
        lines += [
            "",
            f"  {subject}, {roles[0] if roles else 'an applicant'}",
            declared.token(subject, *roles),
        ]
    lines += [
        "",
        f"  curl -H 'Authorization: Bearer TOKEN' {declared.url}/enrollments",
        f"  cd '{declared.target}'",
        f"  export AVOW_DATABASE_URL='{declared.admin_url}'",
        f"  '{Path(sys.executable).with_name('avow')}' verify",
        "",
        "  Both run until Ctrl-C, which ends them and removes their database.",
    ]
    print("\n".join(lines), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


async def _database(declared: Declared, name: str) -> tuple[str, str]:
    """PostgreSQL's version, and the address of a new database beside the declared one's."""
    async with database_of(declared) as database:
        await create_database(database, name)
        version = await database.fetchval("SELECT split_part(current_setting('server_version'), ' ', 1)")
    return str(version), f"{declared.admin_url.rpartition('/')[0]}/{name}"


async def _fullest(declared: Declared) -> str:
    """The course with the most places taken: `why` has the most to say of it."""
    async with database_of(declared) as database:
        query = "SELECT id FROM enrollment.courses ORDER BY taken DESC, id LIMIT 1"
        return str(await database.fetchval(query))


if __name__ == "__main__":
    sys.exit(main())
