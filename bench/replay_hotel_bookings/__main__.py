"""`python -m bench.replay_hotel_bookings`: the replay as a command. See docs/how-to/replay.md."""

from __future__ import annotations

import sys

from bench.replay.command import main
from bench.replay.root import data_file
from bench.replay_hotel_bookings.run import FAULTS, run

DATA = data_file("hotel_bookings", "hotel_bookings.csv.zip")

if __name__ == "__main__":
    sys.exit(main("replay_hotel_bookings", DATA, run, FAULTS))
