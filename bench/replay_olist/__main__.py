"""`python -m bench.replay_olist`: the replay as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import sys

from bench.replay.command import main
from bench.replay.root import data_file
from bench.replay_olist.run import FAULTS, run

DATA = data_file("olist", "olist_orders_dataset.csv.gz")

if __name__ == "__main__":
    sys.exit(main("replay_olist", DATA, run, FAULTS))
