"""`python -m bench.sagas`: the run as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.replay.command import RESULTS, carry_out
from bench.sagas.run import FAULTS, KILLS, RESTARTS, SAGAS, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.sagas")
    parser.add_argument("--sagas", type=int, default=SAGAS, help="how many; the result of fewer isn't kept")
    parser.add_argument("--kills", type=int, default=KILLS, help="how often a worker is killed")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help="how often PostgreSQL crashes")
    parser.add_argument("--result", type=Path, default=None, help="where to write; all sagas: sagas.json")
    options = parser.parse_args()
    target = options.result or (RESULTS / "sagas.json" if options.sagas == SAGAS else None)
    sys.exit(carry_out(lambda: run(options.sagas, options.kills, options.restarts), target, FAULTS))
