"""`python -m bench.replay_enrollment`: the replay as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from avow.errors import AvowError
from bench.replay_enrollment.run import EVERY_ROW, KILLS, ROOT, Run, run, sentence, table

RESULT = ROOT / "bench" / "results" / "replay_enrollment.json"


def data_file() -> Path:
    """The registrations: below AVOW_DATA, or `../shared/data` beside this project."""
    data = os.environ.get("AVOW_DATA")
    folder = Path(data) if data else ROOT.parent / "shared" / "data"
    return folder / "oulad" / "studentRegistration.csv.gz"


def main() -> int:
    """0 when everything adds up, 1 when something doesn't, 3 where the data or the database is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay_enrollment", description=__doc__)
    parser.add_argument("--every", type=int, default=EVERY_ROW, help="send every N-th row only")
    parser.add_argument("--kills", type=int, default=KILLS, help="how often the server is killed")
    parser.add_argument("--result", type=Path, default=None, help=f"where to write; all rows: {RESULT.name}")
    options = parser.parse_args()
    if not data_file().is_file():
        print(f"{data_file()} is missing: set AVOW_DATA to the folder of real inputs", file=sys.stderr)
        return 3
    try:
        done: Run = run(data_file(), options.every, options.kills)
    except AvowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(table(done.result))
    target = options.result or (RESULT if options.every == EVERY_ROW else None)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(done.result, indent=2) + "\n")
    print(sentence(done))
    return 0 if done.holds else 1


if __name__ == "__main__":
    sys.exit(main())
