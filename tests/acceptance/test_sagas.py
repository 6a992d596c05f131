"""Sagas against an outside that misbehaves add up, and their account notices when something doesn't."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass

import pytest

from avow.store.server import cluster
from avow.testing import Ledger, Provider
from bench.replay import checkout
from bench.replay.sending import Tally
from bench.sagas.account import DONE, STUCK, UNDONE, Account, settle
from bench.sagas.run import CHANCES, Database, carry_out
from examples.demo.declared import Declared
from tests.acceptance.replays import plant

SAGAS = 40


@dataclass
class Carried:
    """A run that is over, whose database is still there."""

    declared: Declared
    tally: Tally
    ledger: Ledger
    faults: int

    def settle(self, ledger: Ledger | None = None) -> tuple[Account, Counter[str]]:
        """The account and the ends, on another ledger where one is given."""
        told = ledger or self.ledger
        account, ends, _ = asyncio.run(
            settle(self.declared.admin_url, self.declared.system, self.tally, told, SAGAS)
        )
        return account, ends

    def plant(self, statement: str) -> None:
        plant(self.declared.admin_url, statement)


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Generator[Carried]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch, Provider(seed=1) as outside:
        patch.setenv("AVOW_DESTINATIONS", "")  # put back in the end
        declared = checkout.set_up(home, outside, CHANCES)
        declared.works = False
        try:
            _, tally, _, _ = asyncio.run(carry_out(declared, Database(home), SAGAS, Counter()))
            faults = sum(bool(request["faults"]) for request in outside.requests())
            yield Carried(declared, tally, outside.ledger(), faults)
        finally:
            declared.stop()
            cluster.destroy(home)


def test_every_saga_is_done_or_undone_and_both_ledgers_agree(carried: Carried) -> None:
    account, ends = carried.settle()
    assert account.adds_up, account
    assert carried.faults > 0
    assert ends.keys() == {DONE, UNDONE}
    assert ends.total() == SAGAS
    assert ends[UNDONE] >= 2, "two cards are declined"


def test_what_was_done_twice_or_never_is_found(carried: Carried) -> None:
    (capture, *_) = carried.ledger.of("payment", "capture")
    account, _ = carried.settle(Ledger([*carried.ledger, capture]))
    assert (account.ledger_difference_cents, account.doubled) == (capture.amount, 1)
    (ship, *_) = carried.ledger.of("shipping", "ship")
    account, _ = carried.settle(Ledger(entry for entry in carried.ledger if entry != ship))
    assert (account.ledger_difference_cents, account.left_behind) == (0, 1)


FIRST = "(SELECT id FROM checkout.orders WHERE buyer = 'buyer-0')"
STUCK_WORK = f"""
INSERT INTO avow.work (
    tenant, kind, id, name, version, key, due, ready_at, destination, line, request, since, stuck
) VALUES (
    'main', 'Order', {FIRST}, 'ship', 5, {FIRST}, now(), now(), 'shipping', '', 'planted', now(), 'unknown'
)
"""

ITS_TASK = f"""
INSERT INTO avow.task (task, tenant, kind, id, step, role, remind, claim_ms, asked_by, since, work)
SELECT gen_random_uuid(), w.tenant, w.kind, w.id, 'ship/1', '', '{{}}', 1000, 'avow', now(), w.work
FROM avow.work w WHERE w.id = {FIRST}
"""


def test_an_order_that_hangs_is_found_and_one_that_waits_for_a_person_is_none(carried: Carried) -> None:
    """Planted one after the other: an order in a state between, what is stuck of it, and the task of that."""
    carried.plant(f"UPDATE checkout.orders SET state = 'ship' WHERE id = {FIRST}")
    account, _ = carried.settle()
    assert (account.hanging, account.wrong_ends, account.left_behind) == (1, 1, 1)
    carried.plant(STUCK_WORK)
    account, _ = carried.settle()
    assert (account.hanging, account.wrong_ends) == (1, 1), "nobody is asked for it"
    carried.plant(ITS_TASK)
    account, ends = carried.settle()
    assert account.adds_up, account
    assert ends[STUCK] == 1


def test_an_order_that_is_lost_is_found(carried: Carried) -> None:
    carried.plant("DELETE FROM checkout.orders WHERE buyer = 'buyer-1'")
    carried.plant("DELETE FROM avow.audit WHERE entry = (SELECT min(entry) FROM avow.audit)")
    account, _ = carried.settle()
    assert (account.wrong_ends, account.lost) == (1, 1)
