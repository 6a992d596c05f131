"""Every entry gets one leaf, in the order of its record, whatever commits late, is given up, or dies."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID

import pytest

from avow.engine.log.epochs import begin_epoch
from avow.engine.log.key import KeyFile, log_key
from avow.engine.log.outside import known_outside
from avow.engine.log.sealer import Moved, Sealer, Steps
from avow.engine.verify import Outside, verify
from avow.errors import EnvironmentFault
from avow.evidence.checkpoint import open_checkpoint
from avow.evidence.log_check import Saved
from avow.evidence.verifier import check_consistency, check_inclusion
from avow.store.log.sealing import Sealing
from avow.store.pool import connect
from bench.corruptions.hand import UNLOCK
from tests.acceptance.polling import until
from tests.acting import acting
from tests.fix_database import Database
from tests.store.sealed import RECORD, sealing
from tests.store.theatre import theatre

OTHER = UUID(int=RECORD.int + 1)


async def test_entries_become_leaves_in_their_order_under_a_signed_checkpoint(
    made: Database, tmp_path: Path
) -> None:
    """Through the commands of the engine, and with nothing but the application's rights."""
    async with sealing(made, tmp_path) as log, acting(made) as people:
        for name in "abc":
            await people.do("Hall", "found", None, {"name": name, "places": 3}, "ann")
        assert await log.seal() == 3
        assert await log.demand_sound() == 3
        assert await log.leaves() == sorted(await log.leaves())
        same = await log.admin.fetchval(
            "SELECT count(*) FROM avow.leaf JOIN avow.audit USING (entry, tenant, kind, id, version, hash)"
        )
        assert same == 3
        assert await log.steps.step() is None, "nothing is signed where nothing is new"


async def test_an_entry_that_is_committed_late_gets_its_leaf_late(made: Database, tmp_path: Path) -> None:
    async with sealing(made, tmp_path) as log:
        late = await connect(made.admin_url)
        async with late.transaction():
            held = await log.append(1, record=OTHER, on=late)
            early = await log.append(1, 2)
            assert await log.seal() == 2
            assert await log.leaves() == early
        assert await log.seal() == 1
        assert await log.leaves() == early + held
        await log.demand_sound()
        await late.close()


BARE_STEP = """
DO $$ BEGIN
    PERFORM FROM avow.seal_leaves(10);
    UPDATE avow.log_state SET size = (SELECT count(*) FROM avow.leaf);
END $$
"""


async def test_a_transaction_that_began_after_every_one_that_has_ended_is_waited_for(
    made: Database, tmp_path: Path
) -> None:
    """The newest of all, the sealer's own step among them: no end of a snapshot tells that it is there."""
    async with sealing(made, tmp_path) as log:
        first, second = await connect(made.admin_url), await connect(made.admin_url)
        step, older, newer = log.admin.transaction(), first.transaction(), second.transaction()
        for connection, begun in ((log.admin, step), (first, older), (second, newer)):
            await begun.start()
            await connection.fetchval("SELECT pg_current_xact_id()")
        held = await log.append(1, record=OTHER, on=second)
        early = await log.append(1, on=first)
        await older.commit()
        await log.admin.execute(BARE_STEP)  # a step of `Steps` would have a younger transaction inside
        await step.commit()
        for _ in range(4):
            await log.admin.execute(BARE_STEP)
        assert await log.leaves() == early
        await newer.commit()
        await log.admin.execute(BARE_STEP)
        assert await log.leaves() == early + held
        await first.close()
        await second.close()


async def test_numbers_that_are_given_up_are_forgotten_once_nobody_can_commit_them(
    made: Database, tmp_path: Path
) -> None:
    """Else the sealer would look for them for ever."""
    async with sealing(made, tmp_path) as log:
        given_up = log.admin.transaction()
        await given_up.start()
        await log.append(1, 5)
        await given_up.rollback()
        await log.append(1)
        assert await log.seal() == 1
        for _ in range(3):
            await log.steps.step()
        state = await log.admin.fetchrow("SELECT unseen::text, settling::text, reached FROM avow.log_state")
        assert tuple(state) == ("{}", "{}", 6)
        assert not await log.admin.fetchval("SELECT avow.seal_due()")


@pytest.mark.parametrize("foreign", [True, False])
async def test_numbers_of_another_cluster_are_looked_for_anew_and_those_after_a_restart_are_not(
    foreign: bool, made: Database, tmp_path: Path
) -> None:
    """A restore may hold an entry that the log had given up. A server that was only started again can't."""
    async with sealing(made, tmp_path) as log:
        late = log.admin.transaction()
        await late.start()
        held = await log.append(1, record=OTHER)
        await late.rollback()
        early = await log.append(1)
        for _ in range(4):
            await log.steps.step()
        await log.admin.execute(RETURNED, held[0], OTHER)
        here, _, started = (await log.admin.fetchval("SELECT cluster FROM avow.log_state")).partition("/")
        assert here == await log.admin.fetchval("SELECT system_identifier::text FROM pg_control_system()")
        await log.admin.execute(
            "UPDATE avow.log_state SET cluster = $1", "12345/67890" if foreign else f"{here}/67890"
        )
        await log.append(2)
        await log.seal()
        assert (held[0] in await log.leaves()) is foreign
        assert early[0] in await log.leaves()
        assert await log.admin.fetchval("SELECT cluster FROM avow.log_state") == f"{here}/{started}"


RETURNED = """
INSERT INTO avow.audit (entry, tenant, kind, id, version, header, hash)
OVERRIDING SYSTEM VALUE VALUES ($1, 'main', 'Hall', $2::uuid, 1, '', sha256('\\x00'))
"""


async def test_a_jump_of_the_sequence_costs_nothing(made: Database, tmp_path: Path) -> None:
    """A crash of the server skips numbers; whoever sets the sequence skips more."""
    async with sealing(made, tmp_path) as log:
        await log.append(1)
        await log.admin.execute("SELECT setval('avow.audit_entry_seq', 4000000000000)")
        await log.append(2)
        assert await log.seal() == 2
        await log.demand_sound()


async def test_looking_for_numbers_that_were_not_seen_reads_them_alone(
    made: Database, tmp_path: Path
) -> None:
    """However much was sealed before: under load there is nearly always one that is still to be committed."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 5_000)
        await log.seal()
        await log.admin.execute("ANALYZE avow.audit")
        await log.admin.execute("SET plan_cache_mode = force_generic_plan")
        late = await connect(made.admin_url)
        async with late.transaction():
            await log.append(1, record=OTHER, on=late)
            await log.append(5_001)
            assert await log.seal() == 1
            async with log.admin.transaction():
                await log.admin.execute("SELECT FROM avow.seal_leaves(10)")
                assert (
                    await log.admin.fetchval(
                        "SELECT pg_stat_get_xact_tuples_returned('avow.audit'::regclass)"
                        " + pg_stat_get_xact_tuples_returned('avow.audit_pkey'::regclass)"
                    )
                    <= 10
                )
        await late.close()


async def test_sealers_at_once_seal_each_entry_once(made: Database, tmp_path: Path) -> None:
    """Even where each believes that it is the one that seals."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 300)
        others = [await connect(made.application_url) for _ in range(3)]
        standby = [Steps(made.system.name, other, log.key) for other in others]
        assert not await standby[0].lead(), "one seals, the others stand by"
        for steps in standby:
            await steps.take_over()

        async def work(steps: Steps) -> None:
            for _ in range(8):
                try:
                    await Sealing(steps._sealing._connection).step(steps._sign, most=20)  # pyright: ignore[reportPrivateUsage]
                except Moved:
                    await steps.take_over()

        await asyncio.gather(*(work(steps) for steps in (log.steps, *standby)))
        await log.steps.take_over()
        await log.seal()
        assert await log.leaves() == sorted(await log.leaves())
        assert await log.demand_sound() == 300
        for other in others:
            await other.close()


async def test_a_sealer_that_dies_before_it_publishes_is_followed_by_one_that_does(
    made: Database, tmp_path: Path
) -> None:
    async with sealing(made, tmp_path) as log:
        await log.append(1)
        await log.seal()
        before = log.key.newest()
        await log.append(2)
        log.key.checkpoint.unlink()
        await log.seal()
        assert before is not None
        log.key.keep(before.decode())
        await log.steps.take_over()
        assert await log.demand_sound() == 2


async def test_a_failure_between_leaves_and_checkpoint_leaves_nothing(made: Database, tmp_path: Path) -> None:
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)

        def fail(*_: object) -> str:
            raise RuntimeError("the key service is away")

        with pytest.raises(RuntimeError):
            await log.steps._sealing.step(fail)  # pyright: ignore[reportPrivateUsage]
        assert await log.leaves() == []
        assert await log.seal() == 3


@pytest.mark.parametrize("cut", ["DELETE FROM avow.leaf WHERE index >= 5", "TRUNCATE avow.leaf"])
async def test_nothing_is_signed_on_a_database_that_has_less_than_was_signed(
    made: Database, tmp_path: Path, cut: str
) -> None:
    """One that was restored from a backup, or cut off."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 5)
        await log.seal()
        backup = await log.admin.fetchrow("SELECT size, stack FROM avow.log_state")
        await log.append(6, 3)
        await log.seal()
        await log.admin.execute(UNLOCK)
        await log.admin.execute(f"{cut}; DELETE FROM avow.checkpoint WHERE size > 5")
        await log.admin.execute(
            "UPDATE avow.log_state SET size = $1, stack = $2", backup["size"], backup["stack"]
        )
        with pytest.raises(EnvironmentFault) as caught:
            await log.steps.take_over()
        assert caught.value.code == ("log-restored" if "DELETE" in cut else "log-damaged")
        assert "avow log epoch" in caught.value.mend
        await log.append(9)
        with pytest.raises(Moved):
            await log.steps.step()


async def test_nothing_is_signed_on_another_history_of_that_length(made: Database, tmp_path: Path) -> None:
    """A fork: the database was restored, and went on without the entries that were signed."""
    async with sealing(made, tmp_path) as log:
        await log.append(1, 5)
        await log.seal()
        kept = log.key.newest()
        await log.admin.execute(UNLOCK)
        await log.admin.execute("DELETE FROM avow.audit; DELETE FROM avow.leaf; DELETE FROM avow.checkpoint")
        await log.admin.execute("UPDATE avow.log_state SET size = 0, stack = '{}', reached = 0")
        log.key.checkpoint.unlink()
        await log.append(11, 6)
        await log.steps.take_over()
        await log.seal()
        assert kept is not None
        log.key.keep(kept.decode())
        with pytest.raises(EnvironmentFault, match="aren't those") as caught:
            await log.steps.take_over()
        assert caught.value.code == "log-forked"


async def test_another_key_seals_nothing(made: Database, tmp_path: Path) -> None:
    async with sealing(made, tmp_path) as log:
        await log.append(1)
        await log.seal()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        with pytest.raises(EnvironmentFault) as caught:
            await Steps("theatre", log.admin, log_key(None, elsewhere, "theatre")).take_over()
        assert caught.value.code == "log-foreign"


async def test_the_key_is_read_by_its_owner_alone(made: Database, tmp_path: Path) -> None:
    async with sealing(made, tmp_path) as log:
        path = tmp_path / "log.key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert log.signer.verifier.text.encode() in log.key.public.read_bytes()
        path.chmod(0o640)
        with pytest.raises(EnvironmentFault, match="others may read"):
            KeyFile(path).signer()


async def test_proofs_hold_between_all_checkpoints(made: Database, tmp_path: Path) -> None:
    async with sealing(made, tmp_path) as log:
        for first, count in ((1, 1), (2, 254), (256, 2), (258, 300)):
            await log.append(first, count)
            await log.seal()
        newest = await log.reads.newest_checkpoint(1)
        assert newest is not None
        assert newest.size == 557
        for version in (1, 2, 255, 256, 257, 400, 557):
            entry = await log.reads.entry("main", "Hall", RECORD, version)
            assert entry is not None
            assert (entry.epoch, entry.index) == (1, version - 1)
            assert entry.index is not None
            over = await log.reads.checkpoint_over(1, entry.index)
            assert over is not None
            for at in (over, newest):
                proof = await log.reads.inclusion(1, entry.index, at.size)
                check_inclusion(entry.hash, entry.index, at.size, proof, at.root)
            proof = await log.reads.consistency(1, over.size, newest.size)
            check_consistency(over.size, over.root, newest.size, newest.root, proof)
            head = await log.reads.head_at("main", "Hall", RECORD, 1, over.size)
            assert head is not None
            assert head.version == over.size


async def test_a_running_sealer_follows_the_commands_and_ends_when_it_is_told(
    made: Database, tmp_path: Path
) -> None:
    async with acting(made) as people:
        sealer = Sealer("theatre", made.application_url, log_key(None, tmp_path, "theatre"), interval_s=0.01)
        sealer.start()
        admin = await connect(made.admin_url)
        for name in "ab":
            await people.do("Hall", "found", None, {"name": name, "places": 3}, "ann")

        async def sealed() -> bool:
            return await admin.fetchval("SELECT count(*) = 2 FROM avow.leaf")

        await until(sealed, "both are sealed")
        await asyncio.to_thread(sealer.stop)
        assert sealer.refused is None
        await admin.close()


async def test_a_running_sealer_rests_until_its_next_beat(made: Database, tmp_path: Path) -> None:
    """With an hour from beat to beat, what is committed after the first step waits for the second."""
    async with acting(made) as people:
        await people.do("Hall", "found", None, {"name": "before", "places": 3}, "ann")
        sealer = Sealer("theatre", made.application_url, log_key(None, tmp_path, "theatre"), interval_s=3600)
        sealer.start()
        admin = await connect(made.admin_url)

        async def begun() -> bool:
            return await admin.fetchval("SELECT count(*) > 0 FROM avow.checkpoint")

        await until(begun, "the first step is done")
        for name in "abcdefghij":
            await people.do("Hall", "found", None, {"name": name, "places": 3}, "ann")
        await asyncio.to_thread(sealer.stop)
        assert await admin.fetchval("SELECT count(*) FROM avow.leaf") == 1
        await admin.close()


async def test_a_restored_database_goes_on_under_a_new_epoch_and_key(made: Database, tmp_path: Path) -> None:
    """The checkpoint that it lacks is the new log's first leaf, so that what was lost can't be denied."""
    async with sealing(made, tmp_path) as log, acting(made) as people:
        await people.do("Hall", "found", None, {"name": "a", "places": 3}, "ann")
        await log.seal()
        old = await log.admin.fetchrow("SELECT size, stack FROM avow.log_state")
        await people.do("Hall", "found", None, {"name": "b", "places": 3}, "ann")
        await log.seal()
        await log.admin.execute(UNLOCK)
        await log.admin.execute(
            "DELETE FROM theatre.halls WHERE name = 'b'; DELETE FROM avow.audit WHERE entry = 2;"
            "DELETE FROM avow.leaf WHERE entry = 2; DELETE FROM avow.checkpoint WHERE size = 2"
        )
        await log.admin.execute("UPDATE avow.log_state SET size = $1, stack = $2, reached = $1", *old)
        lost, old_key = log.key.newest(), log.signer.verifier
        with pytest.raises(EnvironmentFault):
            await log.steps.take_over()
        begun = await begin_epoch(log.admin, "theatre", log.key, "restored from the backup of today")
        assert (begun.epoch, begun.size) == (2, 2)
        await log.steps.take_over()
        await people.do("Hall", "found", None, {"name": "c", "places": 3}, "ann")
        await log.seal()
        assert await log.demand_sound() == 2
        assert log.signer.verifier.public != old_key.public
        assert lost is not None
        assert await log.admin.fetchval("SELECT previous FROM avow.log WHERE epoch = 2") == lost.decode()
        outside = known_outside(log.key, [], [])
        assert (await verify(log.admin, theatre, outside=outside)).findings == []
        saved = Saved(open_checkpoint(lost, old_key).checkpoint, "before")
        result = await verify(log.admin, theatre, outside=Outside([], [saved]))
        assert [finding.code for finding in result.findings] == ["log-cut"]


async def test_a_key_is_replaced_while_a_sealer_runs(made: Database, tmp_path: Path) -> None:
    async with sealing(made, tmp_path) as log:
        await log.append(1, 3)
        await log.seal()
        await begin_epoch(log.admin, "theatre", log.key, "the key is a year old")
        await log.append(4)
        with pytest.raises(Moved):
            await log.steps.step()
        await log.steps.take_over()
        assert await log.seal() == 1
        assert [epoch.size for epoch in await log.reads.epochs()] == [3, 2]
        aside = [name for name in os.listdir(tmp_path) if name.startswith("log.key.")]
        assert len(aside) == 1, "the old key is put aside"


PROGRAM = """#!{python}
import base64, sys
from avow.evidence.note import SecretKey, Signer
signer = Signer("kms.example/log", SecretKey(b"k" * 32))
if sys.argv[1] == "public":
    print(signer.verifier.text)
else:
    print(base64.b64encode(signer.key.sign(sys.stdin.buffer.read())).decode())
"""


async def test_a_program_signs_whose_key_nobody_here_has(made: Database, tmp_path: Path) -> None:
    """And one that fails stops the sealing, with what to look at."""
    program = tmp_path / "sign"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o700)
    async with sealing(made, tmp_path, take_over=False) as log:
        log.key = log_key(f"exec:{program}", tmp_path, "theatre")
        log.steps = Steps("theatre", log.admin, log.key)
        await log.steps.take_over()
        await log.append(1, 3)
        await log.seal()
        assert log.signer.name == "kms.example/log"
        assert await log.demand_sound() == 3
        program.write_text("#!/bin/false")
        await log.append(4)
        with pytest.raises(EnvironmentFault) as caught:
            await log.steps.step()
        assert caught.value.code == "log-key-program"
