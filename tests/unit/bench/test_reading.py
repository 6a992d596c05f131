"""What other programs say is read exactly, and a round that failed is no figure."""

from __future__ import annotations

import pytest

from bench.speed import limit, plans, wrk
from bench.speed.processes import TICKS_PER_S, status_of

WRK = """Running 4s test @ http://127.0.0.1:8000
  Requests/sec:    800.00

figures {"commands":3200,"microseconds":4000000,"p50_us":77690,"p99_us":122080,"refused":0,"broken":0}
"""
PGBENCH = """transaction type: limit_function.sql
scaling factor: 1
query mode: prepared
number of clients: 8
number of transactions actually processed: 12345
number of failed transactions: 0 (0.000%)
latency average = 1.280 ms
initial connection time = 12.345 ms
tps = 6172.500000 (without initial connection time)
"""


def test_wrks_figures_are_read_in_seconds_and_milliseconds() -> None:
    read = wrk.read(WRK)
    assert (read.commands, read.seconds, read.p50_ms, read.p99_ms) == (3200, 4.0, 77.69, 122.08)
    assert read.rate == 800.0


@pytest.mark.parametrize("fault", ['"refused":1', '"broken":3'])
def test_a_round_with_an_answer_that_was_no_success_is_refused(fault: str) -> None:
    name = fault.partition(":")[0]
    with pytest.raises(wrk.RoundFailed):
        wrk.read(WRK.replace(f"{name}:0", fault))


def test_a_load_generator_that_did_not_finish_is_no_round() -> None:
    with pytest.raises(wrk.RoundFailed, match="unable to connect"):
        wrk.read("unable to connect to 127.0.0.1:8000 Connection refused")


def test_pgbenchs_rate_leaves_out_the_time_of_connecting() -> None:
    assert limit.read(PGBENCH) == limit.Said(12_345, 6172.5, 1.28)


def test_a_failed_transaction_of_pgbench_is_no_figure() -> None:
    with pytest.raises(limit.PgbenchFailed):
        limit.read(PGBENCH.replace("failed transactions: 0", "failed transactions: 7"))


def test_a_process_whose_name_holds_brackets_and_spaces_is_read() -> None:
    fields = ["S", "17", *["0"] * 9, "150", "50", "20", "10", *["0"] * 6, "1024"]
    status = status_of(42, f"42 (a) (b c) {' '.join(fields)}")
    assert (status.parent, status.cpu_s, status.cpu_of_ended_s) == (17, 200 / TICKS_PER_S, 30 / TICKS_PER_S)


def test_plans_are_found_in_the_servers_log_and_one_that_reads_a_whole_table_is_seen() -> None:
    log = (
        "2026-01-01 LOG:  duration: 0.001 ms  plan:\n\tQuery Text: SELECT 1\n\tResult  (cost=0.00..0.01)\n"
        "2026-01-01 LOG:  duration: 0.010 ms  plan:\n\tQuery Text: SELECT 1\n\tFROM audit\n"
        "\tSeq Scan on audit a  (cost=0.00..1.00 rows=1 width=8)\n"
        "\t  Filter: (id = $1)\n2026-01-01 LOG:  other\n"
    )
    assert plans.read(log) == {"SELECT 1 FROM audit": "Seq Scan on audit a\n  Filter: (id = $1)"}
    assert plans.reads_everything(plans.read(log)["SELECT 1 FROM audit"])
    assert not plans.reads_everything("Index Scan using audit_pkey on audit")
