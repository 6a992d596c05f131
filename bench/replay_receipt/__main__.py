"""`python -m bench.replay_receipt`: the replay as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import sys

from bench.replay.command import main
from bench.replay.root import data_file
from bench.replay_receipt.run import FAULTS, OUTAGES, run

DATA = data_file("receipt", "receipt.csv.gz")

if __name__ == "__main__":
    sys.exit(main("replay_receipt", DATA, run, FAULTS, OUTAGES))
