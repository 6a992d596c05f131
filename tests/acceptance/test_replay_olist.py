"""The replay of orders adds up, and its account notices when something doesn't."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from avow.store.server import cluster
from avow.testing import Ledger, Provider
from bench.replay.sending import Tally
from bench.replay_olist.__main__ import DATA
from bench.replay_olist.account import Account, settle
from bench.replay_olist.expected import CARRIED_OUT, GIVEN_UP, RETURNED, SOLD_OUT, expect
from bench.replay_olist.orders import read_orders
from bench.replay_olist.run import FAULTS, replay_orders, set_up, sold_to
from examples.demo.declared import Declared
from tests.acceptance.replays import needs, replay

ROOT = Path(__file__).parents[2]
EVERY_100TH = 100

# Name, status, whether the carrier had it, articles, and payments in the order of their numbers.
ORDERS = [
    ("a", "delivered", True, 2, [("credit_card", "10.5")]),
    ("b", "shipped", True, 1, [("voucher", "3.99"), ("voucher", "2.01"), ("credit_card", "4.0")]),
    ("c", "invoiced", False, 1, [("credit_card", "1.0"), ("credit_card", "2.0")]),
    ("d", "delivered", True, 1, [("boleto", "7.07")]),
    ("e", "delivered", True, 1, [("voucher", "5.0")]),
    ("f", "canceled", True, 1, [("voucher", "1.0"), ("credit_card", "9.0")]),
    ("g", "canceled", False, 1, [("credit_card", "8.0")]),
    ("h", "canceled", False, 1, [("boleto", "6.0")]),
    ("i", "unavailable", False, 0, [("voucher", "1.5"), ("credit_card", "2.5")]),
    ("j", "canceled", False, 0, [("not_defined", "0.0")]),
]
ENDS = {
    **dict.fromkeys("abcde", CARRIED_OUT), "f": RETURNED, "g": GIVEN_UP, "h": GIVEN_UP, "i": SOLD_OUT,
}  # fmt: skip
ON_CARDS = {"a": 1_050, "b": 400, "c": 300, "d": 707}
ON_GIFT_CARDS = {"b": 600, "e": 500}


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten orders, with every way of paying and every end."""
    folder = tmp_path_factory.mktemp("olist")
    tables = {
        "orders": ["order_id,customer_id,order_status,purchase,approved,order_delivered_carrier_date,x,y"],
        "order_items": ["order_id,order_item_id,product_id"],
        "order_payments": ["order_id,payment_sequential,payment_type,payment_installments,payment_value"],
    }
    for name, status, carried, articles, payments in ORDERS:
        tables["orders"].append(f"{name},u,{status},,,{'2018-01-01' if carried else ''},,")
        tables["order_items"] += [f"{name},{number},chair" for number in range(articles)]
        numbered = [f"{name},{n},{kind},1,{value}" for n, (kind, value) in enumerate(payments, 1)]
        tables["order_payments"] += reversed(numbered)
    for table, lines in tables.items():
        with gzip.open(folder / f"olist_{table}_dataset.csv.gz", "wt") as file:
            file.write("\n".join(lines) + "\n")
    return folder


def test_what_must_come_of_an_order_follows_from_the_files(small_files: Path) -> None:
    found = expect(small_files, 1)
    assert found.ends == ENDS
    assert +Counter(found.on_cards) == ON_CARDS
    assert +Counter(found.on_gift_cards) == ON_GIFT_CARDS
    assert found.refused == {"input-invalid": 1}


def test_payments_are_read_in_the_order_of_their_numbers(small_files: Path) -> None:
    orders = {order.name: order for order in read_orders(small_files, 1)}
    assert (orders["b"].vouchers, orders["b"].cards, orders["b"].price) == ((399, 201), (400,), 1_000)
    assert orders["c"].cards == (100, 200)
    assert [name for name, order in orders.items() if order.transfer] == ["d", "h"]
    assert (orders["a"].pieces, orders["i"].pieces) == (2, 1)


@needs(DATA)
def test_eighty_real_orders_survive_faults_copies_and_crashes(tmp_path: Path) -> None:
    found = replay(
        "replay_olist", DATA, tmp_path / "result.json", "--every", str(EVERY_100TH), "--kills", "1"
    )
    assert {name: found[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert found["cases"] == 82
    assert found["killed"] == {"server": 1, "worker": 1}
    assert found["provider"]["balance_cents"] > 0
    assert found["verify"] is True


@dataclass
class Replayed:
    """A finished replay whose database is still there."""

    declared: Declared
    tally: Tally
    ledger: Ledger
    folder: Path

    async def settle(self, ledger: Ledger | None = None) -> Account:
        """The account, on another ledger where one is given."""
        sold = sold_to(read_orders(self.folder, 1))
        account, _, _ = await settle(
            self.declared.admin_url, self.declared.system, self.tally, ledger or self.ledger, sold,
            expect(self.folder, 1),
        )  # fmt: skip
        return account

    async def execute(self, statement: str) -> None:
        """As the superuser, past everything that the product holds."""
        connection = await asyncpg.connect(self.declared.admin_url)
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def replayed(small_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Replayed]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch, Provider(seed=1) as outside:
        patch.setenv("AVOW_DESTINATIONS", "")  # put back in the end
        declared = set_up(home, outside)
        try:
            orders = read_orders(small_files, 1)
            _, tally, _, _ = asyncio.run(replay_orders(declared, outside, orders, kills=0))
            yield Replayed(declared, tally, outside.ledger(), small_files)
        finally:
            declared.stop()
            cluster.destroy(home)


async def test_ten_orders_of_every_sort_add_up(replayed: Replayed) -> None:
    account = await replayed.settle()
    assert account.adds_up, account


async def test_a_charge_that_we_know_nothing_of_is_found(replayed: Replayed) -> None:
    (capture, *_) = replayed.ledger.of("payment", "capture")
    account = await replayed.settle(Ledger([*replayed.ledger, capture]))
    assert account.ledger_difference_cents == capture.amount
    assert account.doubled == 1


async def test_a_charge_that_was_never_made_is_found(replayed: Replayed) -> None:
    (capture, *_) = replayed.ledger.of("payment", "capture")
    without = Ledger(entry for entry in replayed.ledger if entry != capture)
    assert (await replayed.settle(without)).ledger_difference_cents == capture.amount


async def test_pieces_that_stay_reserved_are_found(replayed: Replayed) -> None:
    (reserve, *_) = replayed.ledger.of("stock", "reserve")
    assert (await replayed.settle(Ledger([*replayed.ledger, reserve]))).left_behind == 1


async def test_a_cent_that_is_lost_of_a_gift_card_is_found(replayed: Replayed) -> None:
    await replayed.execute("UPDATE checkout.gift_cards SET balance = balance + 1 WHERE holder = 'e'")
    try:
        assert (await replayed.settle()).gift_difference_cents == 1
    finally:
        await replayed.execute("UPDATE checkout.gift_cards SET balance = balance - 1 WHERE holder = 'e'")


async def test_a_step_that_the_log_lacks_and_one_that_nobody_asked_for_are_found(replayed: Replayed) -> None:
    accepted = replayed.tally.accepted
    whole = list(accepted)
    try:
        accepted.append(accepted[0])
        assert (await replayed.settle()).lost == 1
        del accepted[-2:]
        assert (await replayed.settle()).doubled == 1
    finally:
        accepted[:] = whole
