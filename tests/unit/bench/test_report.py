"""The page says what was measured, and that what wasn't measured wasn't."""

from __future__ import annotations

from typing import Any

from bench.speed.contender import Pair, rate
from bench.speed.report import RATIOS, table
from bench.speed.sample import Sample


def result(pairs: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine": {
            "cores": 2,
            "processor": "x",
            "memory_mb": 1000,
            "system": "Linux",
            "interpreter_us": 40.0,
        },
        "settings": {"rounds": 1, "round_s": 4},
        "versions": {"postgresql": "18.6", "python": "3.11", "commit": "abc"},
        "ratios": {name: pairs[name]["ratio"]["median"] if name in pairs else None for name in RATIOS},
        "server_rss_mb": 80.5,
        "wal_bytes_per_command": 1750.0,
        "python_us_per_command": None,
        "postgres_us_per_command": 160.0,
        "details": {"pairs": pairs},
    }


def test_a_measured_ratio_stands_with_its_spread_and_the_figures_behind_it() -> None:
    pair = Pair("a", "b", [Sample(800, 1.0), Sample(900, 1.0)], [Sample(1000, 1.0), Sample(1000, 1.0)])
    page = table(result({"http_vs_pgbench": pair.described(rate)}))
    assert "| `http_vs_pgbench` | **0.85** | 0.80 to 0.90 | 850 | 1,000 |" in page


def test_what_was_not_measured_is_said_to_be_so() -> None:
    page = table(result({}))
    assert page.count("not measured") == len(RATIOS)
    assert "us of CPU in Python" not in page


def test_the_names_of_the_ratios_are_those_that_others_read() -> None:
    assert set(RATIOS) == {
        "http_vs_pgbench", "http_vs_fastapi_asyncpg", "http_vs_fastapi_sqlalchemy", "http_vs_restate",
        "http_vs_dbos", "engine_vs_pgbench", "p50_vs_raw_call", "hot_set", "growth_throughput", "growth_p99",
    }  # fmt: skip
