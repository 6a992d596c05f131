"""`python -m bench.replay_bpic2012`: the replay as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import sys

from bench.replay.command import main
from bench.replay.root import data_file
from bench.replay_bpic2012.run import FAULTS, run

DATA = data_file("bpic2012", "bpic2012.csv.gz")

if __name__ == "__main__":
    sys.exit(main("replay_bpic2012", DATA, run, FAULTS))
