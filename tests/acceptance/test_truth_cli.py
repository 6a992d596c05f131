"""Does somebody at a terminal learn why, what happened, and whether all of it is still true?"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow.api import api_keys
from avow.cli.home import pepper_of
from avow.store.pool import connect
from bench.corruptions.hand import UNLOCK
from examples.enrollment.system import app
from tests.acceptance import forked
from tests.acceptance.command_line import SECONDS_MAX, avow
from tests.acting import Acting, acting
from tests.fix_database import Database, MakeDatabase, with_login

TARGET = Path(__file__).resolve().parents[2] / "examples" / "enrollment"
SECRET = "the secret of the service, long enough"
COLUMNS = 80


@dataclass(frozen=True)
class Place:
    """A database with one approved enrollment, and a way to ask about it."""

    made: Database
    course: UUID
    enrollment: UUID

    def avow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        settings = {"AVOW_DATABASE_URL": self.made.admin_url, "AVOW_SECRET": SECRET, "NO_COLOR": "1"}
        return forked.run(arguments, Path.cwd(), {**os.environ, **settings, **environment}, SECONDS_MAX)

    def asked(self, *arguments: str) -> Any:
        """Run one command that answers in JSON."""
        done = self.avow(*arguments, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def execute(self, sql: str) -> None:
        """What a superuser does with psql."""

        async def run() -> None:
            connection = await connect(self.made.admin_url)
            try:
                await connection.execute(UNLOCK)
                await connection.execute(sql)
            finally:
                await connection.close()

        asyncio.run(run())


def filled(made: Database, fill: Callable[[Acting], Any]) -> Any:
    async def run() -> Any:
        async with acting(made) as act:
            return await fill(act)

    return asyncio.run(run())


@pytest.fixture
def place(database: MakeDatabase) -> Place:
    made = database(app)

    async def fill(act: Acting) -> tuple[UUID, UUID]:
        course = await act.do("Course", "announce", None, {"title": "Greek", "seats": 3}, "rita", "registrar")
        enrollment = await act.do("Enrollment", "start", None, {"course": course}, "ana")
        await act.do("Enrollment", "submit", enrollment, {"essay": "because " * 300}, "ana")
        await act.do("Enrollment", "verify", enrollment, {}, "rita", "registrar")
        await act.do("Enrollment", "approve", enrollment, {}, "dora", "dean")
        return course, enrollment

    course, enrollment = filled(made, fill)
    return Place(made, course, enrollment)


def test_why_leads_from_a_value_to_the_command_that_caused_it(place: Place) -> None:
    done = place.avow("why", f"courses/{place.course}", "taken", "--target", str(TARGET))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("taken = 1  because\n")
    for part in (
        "Course.take_seat  by dora (dean)", "taken 0 -> 1", "never_oversold: taken <= seats",
        f"caused by  Enrollment {place.enrollment}", "Enrollment.approve  by dora (dean)",
        "dean & ~performed(verify)", "performed(verify) rita", "(today's)", "intact",
    ):  # fmt: skip
        assert part in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS


def test_why_at_a_time_is_what_was_known_then(place: Place) -> None:
    where = (f"courses/{place.course}", "taken", "--target", str(TARGET))
    now = place.asked("why", *where)
    created = place.asked("history", where[0], "--target", str(TARGET))["items"][0]["at"]
    then = place.asked("why", *where, "--at", created)
    assert (now["value"], then["value"]) == (1, 0)
    assert then["because"]["transition"] == "announce"
    assert place.asked("why", *where, "--at", "2020-01-01T00:00:00Z")["because"] is None


def test_why_as_somebody_shows_only_what_they_may_see(place: Place) -> None:
    """Whose place was taken is the business of who may see that enrollment."""
    where = (f"courses/{place.course}", "taken", "--target", str(TARGET), "--as", "zoe")
    done = place.avow("why", *where)
    assert "taken = 1" in done.stdout
    assert "caused by   a record that you may not see" in done.stdout
    assert "dora" not in done.stdout
    assert str(place.enrollment) not in done.stdout + place.avow("why", *where, "--json").stdout
    told = place.avow("history", f"courses/{place.course}", "--target", str(TARGET), "--as", "zoe").stdout
    assert "take_seat" in told
    assert "dora" not in told
    unseen = place.avow("why", f"enrollments/{place.enrollment}", "--target", str(TARGET), "--as", "zoe")
    assert unseen.returncode == 1
    assert "not-found" in unseen.stderr
    own = place.avow("why", f"enrollments/{place.enrollment}", "--target", str(TARGET), "--as", "ana")
    assert own.returncode == 0


def test_history_shows_each_change(place: Place) -> None:
    shown = place.asked("history", f"enrollments/{place.enrollment}", "--target", str(TARGET))
    steps = [(item["transition"], item["actor"]["subject"], item["to"]) for item in shown["items"]]
    assert steps == [
        ("start", "ana", "draft"), ("submit", "ana", "submitted"), ("verify", "rita", "verified"),
        ("approve", "dora", "approved"),
    ]  # fmt: skip
    part = place.asked("history", f"enrollments/{place.enrollment}", "--target", str(TARGET), "--after", "1",
                       "--limit", "2")  # fmt: skip
    assert ([item["version"] for item in part["items"]], part["more"]) == ([2, 3], True)
    assert part["items"][0]["changes"]["essay"]["old"] == ""
    text = place.avow("history", f"enrollments/{place.enrollment}", "--target", str(TARGET)).stdout
    assert max(map(len, text.splitlines())) <= COLUMNS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("why", "enrollments/1"), "isn't the id of a record"),
        (("why", "students/00000000-0000-7000-8000-000000000001"), "has no students"),
        (("why", "courses/00000000-0000-7000-8000-000000000001", "price"), "has no field price"),
        (("why", "courses/00000000-0000-7000-8000-000000000001", "--at", "noon"), "isn't an instant"),
        (("history", "courses/00000000-0000-7000-8000-000000000001", "--role", "dean"), "without --as"),
    ],
)
def test_a_question_that_cannot_be_meant_is_answered_with_what_to_write(
    place: Place, arguments: tuple[str, ...], said: str
) -> None:
    done = place.avow(*arguments, "--target", str(TARGET))
    assert done.returncode == 2
    assert said in done.stderr
    assert "mend:" in done.stderr


def test_verify_holds_and_says_what_it_checked_and_what_not(place: Place) -> None:
    done = place.avow("verify", str(TARGET))
    assert done.returncode == 0
    assert re.match(r"6 audit entries of 2 records in 1 tenant hold: .* entries/s\)\n", done.stdout)
    assert "not covered" in done.stderr
    shown = place.asked("verify", str(TARGET))
    assert (shown["holds"], shown["entries"], shown["found"]) == (True, 6, 0)


def test_an_edit_with_psql_is_found_by_record_and_field(place: Place) -> None:
    place.execute("UPDATE enrollment.courses SET seats = 300")
    done = place.avow("verify", str(TARGET))
    assert done.returncode == 1
    assert done.stdout.startswith(f"value-edited  courses/{place.course} seats version 2 (tenant main)\n")
    shown = json.loads(place.avow("verify", str(TARGET), "--json").stdout)
    assert (shown["holds"], shown["findings"][0]["field"]) == (False, "seats")


def test_verify_without_the_time_for_it_gives_no_verdict(place: Place) -> None:
    done = place.avow("verify", str(TARGET), "--limit-s", "0")
    assert done.returncode == 4
    assert done.stdout.startswith("no verdict")


def test_an_altered_entry_is_not_told_as_the_truth(place: Place) -> None:
    place.execute(
        "UPDATE avow.audit SET header = convert_to("
        "replace(convert_from(header, 'UTF8'), 'dora', 'drew'), 'UTF8')"
    )
    done = place.avow("why", f"courses/{place.course}", "taken", "--target", str(TARGET))
    assert "ALTERED: run `avow verify`" in done.stdout


def test_a_key_is_made_listed_rotated_and_revoked(place: Place) -> None:
    target = ("--target", str(TARGET))
    made = place.asked("keys", "create", "robot", "--role", "dean", *target)
    presented = api_keys.parse(made["key"])
    stored = filled(place.made, lambda act: act.reads.api_key(made["id"]))
    assert api_keys.matches(presented, (stored["digest"],), pepper_of(SECRET.encode()))
    assert (stored["subject"], stored["roles"], stored["tenant"]) == ("robot", ["dean"], "main")
    assert made["key"] not in place.avow("keys", "list", *target).stdout

    fresh = place.asked("keys", "rotate", made["id"], "--overlap-hours", "2", *target)
    states = {item["id"]: item["state"] for item in place.asked("keys", "list", *target)["items"]}
    assert states == {made["id"]: "ending", fresh["id"]: "live"}
    for key_id in states:
        assert filled(place.made, lambda act, key_id=key_id: act.reads.api_key(key_id)) is not None
    assert place.avow("keys", "rotate", made["id"], *target).returncode == 2

    assert place.avow("keys", "revoke", made["id"], *target).returncode == 0
    assert filled(place.made, lambda act: act.reads.api_key(made["id"])) is None
    assert filled(place.made, lambda act: act.reads.api_key(fresh["id"])) is not None


def test_a_login_that_may_not_look_is_told_which_one_may(place: Place) -> None:
    login = f"plain_{os.getpid()}"
    place.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'of a test'")
    url = with_login(place.made.admin_url, login, "of a test")
    for arguments in (
        ("verify", str(TARGET)),
        ("history", f"courses/{place.course}", "--target", str(TARGET)),
    ):
        done = place.avow(*arguments, AVOW_DATABASE_URL=url)
        assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
        assert "a member of enrollment_owner" in done.stderr
    place.execute(f"DROP ROLE {login}")


def test_keys_are_the_owners_business(place: Place) -> None:
    done = place.avow("keys", "list", "--target", str(TARGET), AVOW_DATABASE_URL=place.made.application_url)
    assert done.returncode == 3
    assert "rights-missing" in done.stderr
    wrong = place.avow("keys", "create", "robot", "--role", "emperor", "--target", str(TARGET))
    assert wrong.returncode == 2
    assert "Roles: dean, registrar" in wrong.stderr


HOSTILE = "\x1b[2Jgone\u202e"
BAD_BYTES = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create", BAD_BYTES), ("keys", "create", "x" * 256), ("keys", "create", HOSTILE),
        ("keys", "create", "anonymous"), ("keys", "create", ""), ("keys", "revoke", BAD_BYTES),
        ("keys", "create", "ann", "--tenant", "x" * 101), ("keys", "list", "--tenant", BAD_BYTES),
        ("verify", "--tenant", BAD_BYTES), ("verify", "--tenant", ""),
        ("why", "courses/x", "--as", ""), ("why", "courses/x", "--as", "a", "--role", BAD_BYTES),
        ("history", "courses/x", "--tenant", "a\n"), ("history", "courses/x", "--after", "1" * 30),
        ("history", "courses/x", "--after", "-1"),
    ],
)  # fmt: skip
def test_a_name_that_no_credential_can_carry_is_a_wrong_usage(arguments: tuple[str, ...]) -> None:
    """No such key is made, that would be refused wherever it is used; and nothing ends in a traceback."""
    done = avow(
        *arguments, environment={"AVOW_DATABASE_URL": "postgresql://nowhere:1/x", "AVOW_SECRET": SECRET}
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error[usage]")


def test_what_somebody_wrote_into_the_log_cannot_take_over_the_terminal(place: Place) -> None:
    """A hand that edits the log could else hide what is found, by moving the cursor of whoever looks."""
    place.execute(f"UPDATE avow.audit SET tenant = e'{HOSTILE}' WHERE id = '{place.course}'")
    place.execute(
        "UPDATE avow.audit SET header = convert_to(replace(convert_from(header, 'UTF8'), "
        "'\"dora\"', '\"\\u001b[2Jgone\\u202e\"'), 'UTF8')"
    )
    target = ("--target", str(TARGET))
    found = place.avow("verify", str(TARGET))
    assert found.returncode == 1
    shown = [
        found,
        *(place.avow(verb, f"enrollments/{place.enrollment}", *target) for verb in ("why", "history")),
    ]
    for done in shown:
        assert "\\x1b[2Jgone\\u202e" in done.stdout, done.stdout + done.stderr
        assert all(c.isprintable() or c == "\n" for c in done.stdout)


def test_a_tenant_of_whom_nothing_is_there_is_told_from_one_that_holds(place: Place) -> None:
    """Its name may be a wrong one."""
    done = place.avow("verify", str(TARGET), "--tenant", "mian")
    assert "nothing of a tenant called mian" in done.stderr
    assert "nothing of a tenant" not in place.avow("verify", str(TARGET), "--tenant", "main").stderr


def test_doctor_looks_at_the_surroundings_and_says_what_to_do(place: Place) -> None:
    done = place.avow("doctor", str(TARGET), "--json")
    lines = {line["what"]: line for line in json.loads(done.stdout)["lines"]}
    # The server of the tests runs without these, which nobody should.
    off = {"fsync", "full_page_writes", "synchronous_commit"}
    assert {what for what, line in lines.items() if not line["ok"]} == off
    assert all(lines[what]["mend"] for what in off)
    assert done.returncode == 1
    assert lines["log"]["said"].startswith("nothing is sealed yet")
    place.execute(
        "SELECT avow.begin_log('x', 'k'); "
        "UPDATE avow.audit SET at = at - interval '1 hour' WHERE entry = (SELECT max(entry) FROM avow.audit)"
    )
    assert "OFF log" in place.avow("doctor", str(TARGET)).stdout
    application = f"{place.made.system.name}_application"
    place.execute(
        "INSERT INTO avow.clock (fixed) VALUES ('2026-11-21T00:00:00Z');"
        "ALTER TABLE avow.disclosure NO FORCE ROW LEVEL SECURITY;"
        "DROP INDEX enrollment.enrollments__one_each;"
        "ALTER TABLE avow.audit ENABLE TRIGGER append_only;"
        f"GRANT UPDATE (reason) ON avow.legal_hold TO {application}"
    )
    said = place.avow("doctor", str(TARGET)).stdout
    assert "OFF clock" in said
    assert "not forced on avow.disclosure" in said
    assert "not held by the database any more: Enrollment.one_each" in said
    assert place.avow("migrate", str(TARGET)).returncode == 0
    assert "not held" not in place.avow("doctor", str(TARGET)).stdout
    assert "the application may write avow.legal_hold" in said
    assert "OFF append-only        avow.audit, " in said
    assert "witnessed by: nobody" in said


def test_another_applications_database_is_told_from_ones_own(place: Place, tmp_path: Path) -> None:
    """No verb works on it by mistake, and none ends in a traceback."""
    shop = tmp_path / "shop"
    assert avow("init", str(shop)).returncode == 0
    before = place.asked("keys", "list", "--target", str(TARGET))
    for arguments in (
        ("migrate", str(shop)),
        ("dev", str(shop), "--port", "0"),
        ("keys", "create", "ann", "--target", str(shop)),
        ("verify", str(shop)),
        ("why", f"purchases/{place.course}", "--target", str(shop)),
    ):
        done = place.avow(*arguments, AVOW_HOME=str(tmp_path / "home"))
        assert done.returncode == 3, done.stderr
        assert "the tables in this database belong to enrollment, not to shop" in done.stderr
    assert place.asked("keys", "list", "--target", str(TARGET)) == before


def test_without_a_database_each_says_how_to_get_one(place: Place, tmp_path: Path) -> None:
    for arguments in (("verify", str(TARGET)), ("doctor", str(TARGET))):
        done = place.avow(*arguments, AVOW_DATABASE_URL="", AVOW_HOME=str(tmp_path))
        assert done.returncode == 3
        assert "avow dev" in done.stdout + done.stderr
