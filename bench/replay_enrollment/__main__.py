"""`python -m bench.replay_enrollment`: the replay as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import sys

from bench.replay.command import main
from bench.replay.root import data_file
from bench.replay_enrollment.run import FAULTS, run

DATA = data_file("oulad", "studentRegistration.csv.gz")

if __name__ == "__main__":
    sys.exit(main("replay_enrollment", DATA, run, FAULTS))
