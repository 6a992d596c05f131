"""What the command line of the benchmark understands."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.speed.parts import PARTS
from bench.speed.stage import RECORDS

SINGLE = ("http", "engine")
GROWTH_MAX = 1_000_000


def read() -> argparse.Namespace:
    """The options of this call. Ends the process with a sentence where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="bench/run", description="How fast Avow is, in pairs measured alternately in one run."
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART",
        help=f"only these ({', '.join(PARTS)}), or one thing by itself ({', '.join(SINGLE)})",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: two to three minutes")
    parser.add_argument(
        "--growth-max", type=int, default=GROWTH_MAX, help="audit entries to grow to, at most"
    )
    parser.add_argument(
        "--result", type=Path, help="where to write; a whole run writes bench/results/speed.*"
    )
    one = parser.add_argument_group("one thing by itself")
    one.add_argument("--seconds", type=int, default=4, help="of a round")
    one.add_argument("--rounds", type=int, default=1)
    one.add_argument("--clients", type=int, default=64, help="requests under way, over HTTP")
    one.add_argument("--tasks", type=int, default=64, help="commands under way, in process")
    one.add_argument("--workers", type=int, default=1, help="server processes")
    one.add_argument("--records", type=int, default=RECORDS, help="payments to draw from")
    one.add_argument("--operation", choices=["capture", "create", "read", "list"], default="capture")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS) - set(SINGLE)
    if unknown or (set(options.parts) & set(SINGLE) and len(options.parts) > 1):
        parser.error(f"name parts of {', '.join(PARTS)}, or one of {', '.join(SINGLE)}")
    return options
