"""Root's own PostgreSQL runs under another account, and nothing outside our folders is changed for it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import avow
from avow.errors import EnvironmentFault
from avow.store.server import binaries, cluster, placement
from avow.store.server.postmaster import read_pid_file

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="these facts are about root")

FAST = {"fsync": "off"}


def stated(folder: Path) -> list[tuple[int, int, int]]:
    """Mode, owner and group of a folder and of all its parents."""
    found = [os.stat(place) for place in (folder, *folder.parents)]
    return [(status.st_mode, status.st_uid, status.st_gid) for status in found]


def accounts() -> list[bytes]:
    return [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group")]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that only root can pass through, as /root is; what was made outside for it goes with it."""
    made = Path(tempfile.mkdtemp(prefix="avow-closed-"))
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    yield made
    for location in list(made.rglob("pg.location")):
        outside = Path(os.fsdecode(location.read_bytes().strip()))
        cluster.destroy(location.parent)
        assert not outside.exists()
    shutil.rmtree(made)


@pytest.fixture
def opened() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="avow-opened-"))
    made.chmod(0o755)
    yield made
    cluster.stop(made / ".avow", "immediate")
    shutil.rmtree(made)


def test_the_server_runs_under_an_account_that_existed_and_keeps_no_right_of_roots(opened: Path) -> None:
    before = accounts()
    groups = os.getgroups()
    os.setgroups([4, 27])
    try:
        lease = cluster.start(opened / ".avow", settings=FAST)
    finally:
        os.setgroups(groups)
    with lease:
        assert lease.cluster.data_dir == opened / ".avow" / "pg"
        owner = lease.cluster.data_dir.stat()
        assert owner.st_uid != 0
        seen = read_pid_file(lease.cluster.data_dir)
        assert seen is not None
        if sys.platform == "linux":
            lines = Path(f"/proc/{seen.pid}/status").read_text().splitlines()
            status = dict(line.split(":\t", 1) for line in lines)
            assert status["Uid"].split() == [str(owner.st_uid)] * 4
            assert status["Gid"].split() == [str(owner.st_gid)] * 4
            assert status["Groups"].split() == []
            assert int(status["CapEff"], 16) == 0
        assert (opened / ".avow" / "pg.password").stat().st_uid == 0
    assert accounts() == before


async def test_data_goes_where_the_account_can_reach_it_and_no_permission_is_changed(closed: Path) -> None:
    home = closed / "project" / ".avow"
    home.mkdir(parents=True)
    before = stated(home), accounts()
    told: list[str] = []
    with cluster.start(home, settings=FAST, progress=told.append) as lease:
        connection = await asyncpg.connect(lease.cluster.url())
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        await connection.close()
        outside = lease.cluster.data_dir.parent
        assert not outside.is_relative_to(closed)
        assert cluster.running(home) is not None
    assert any(str(outside) in line for line in told)
    assert (outside.stat().st_uid, stat.S_IMODE(outside.stat().st_mode)) == (0, 0o755)
    assert stat.S_IMODE((outside / "pg").stat().st_mode) == 0o700
    with cluster.start(home, settings=FAST) as lease:
        assert lease.cluster.data_dir == outside / "pg"
        connection = await asyncpg.connect(lease.cluster.url())
        assert await connection.fetchval("SELECT value FROM kept") == 7
        await connection.close()
    assert (stated(home), accounts()) == before


def test_a_new_home_at_the_same_path_never_takes_over_earlier_data(closed: Path) -> None:
    home = closed / ".avow"
    with cluster.start(home, settings=FAST) as lease:
        earlier = lease.cluster.data_dir
    shutil.rmtree(home)
    told: list[str] = []
    try:
        with cluster.start(home, settings=FAST, progress=told.append) as lease:
            assert lease.cluster.data_dir != earlier
        assert any(str(earlier.parent) in line for line in told)
        assert (earlier / "PG_VERSION").exists()
    finally:
        shutil.rmtree(earlier.parent)


def test_a_copied_home_is_refused_and_a_moved_one_keeps_its_data(closed: Path) -> None:
    home = closed / "first" / ".avow"
    with cluster.start(home, settings=FAST) as lease:
        data_dir = lease.cluster.data_dir
    shutil.copytree(closed / "first", closed / "copy")
    with pytest.raises(EnvironmentFault, match="is a copy of") as caught:
        cluster.start(closed / "copy" / ".avow")
    assert caught.value.code == "data-in-use"
    shutil.rmtree(closed / "copy")
    (closed / "first").rename(closed / "moved")
    with cluster.start(closed / "moved" / ".avow", settings=FAST) as lease:
        assert lease.cluster.data_dir == data_dir


def test_a_folder_outside_that_others_could_change_is_not_used(
    closed: Path, opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, foreign, writable, loose = bases = [
        opened / kind for kind in ("link", "foreign", "writable", "loose")
    ]
    for base in bases:
        base.mkdir(mode=0o755)
    (opened / "elsewhere").mkdir()
    (link / "avow").symlink_to(opened / "elsewhere")
    (foreign / "avow").mkdir(mode=0o755)
    os.chown(foreign / "avow", 12345, 12345)
    (writable / "avow").mkdir()
    (writable / "avow").chmod(0o777)
    loose.chmod(0o777)
    monkeypatch.setattr(placement, "OUTSIDE_BASES", tuple(bases))
    with pytest.raises(EnvironmentFault) as caught:
        cluster.start(closed / ".avow")
    assert caught.value.code == "data-unplaceable"
    assert caught.value.detail.count("is not a folder that only root writes to") == 3
    assert f"{loose}: others may replace what is in it" in caught.value.detail
    loose.chmod(0o1777)
    with cluster.start(closed / ".avow", settings=FAST) as lease:
        assert lease.cluster.data_dir.is_relative_to(loose / "avow")
    cluster.destroy(closed / ".avow")


def test_binaries_that_the_account_cannot_reach_are_copied_once(closed: Path, opened: Path) -> None:
    """A virtual environment below /root: the programs run from a copy, the environment stays closed."""
    found = binaries.find(environ={})
    if found.package is None:
        pytest.skip("the binaries of this machine are not in a package")
    site = closed / "site"
    site.mkdir()
    for part in (found.package, found.package.with_name(f"{found.package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, site / part.name, ignore=shutil.ignore_patterns("include"))
    before = stated(site)
    environment = {**os.environ, "PYTHONPATH": f"{Path(avow.__file__).parents[1]}{os.pathsep}{site}"}
    environment.pop("AVOW_PG_BIN", None)
    program = (
        "import sys; from pathlib import Path; from avow.store.server import cluster\n"
        "cluster.start(Path(sys.argv[1]), settings={'fsync': 'off'}, progress=print).release()\n"
    )
    printed: list[str] = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, opened / ".avow"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    said = re.search(rf"Copying PostgreSQL {re.escape(found.version)} to (/.+/avow/binaries-.+)", printed[0])
    assert said is not None
    copied = Path(said.group(1))
    try:
        assert printed[1] == "", "the second start finds the copy"
        assert stat.S_IMODE(copied.stat().st_mode) == 0o755
        assert stated(site) == before
    finally:
        shutil.rmtree(copied)
