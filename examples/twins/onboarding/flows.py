"""What goes on by itself: the account, times, what people are asked again, and what others are told."""

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any

import httpx2 as httpx
from dbos import DBOS

from .machine import ENGINE, Actor, Given, move
from .tables import Case, Entry, Subscription, Task, source

ACCOUNTS = os.environ["ONBOARDING_PROVIDER_URL"]
LOCKING: Any = {"isolation_level": "READ COMMITTED"}
PAUSE_S_MAX, RETRIED_FOR_S = 300.0, 3 * 86_400.0


@DBOS.workflow()
def command(kind: str, record: str, word: str, actor: Actor, given: Given, print_: str) -> dict[str, Any]:
    return {**carry_on(source.run_tx_step(LOCKING, move, kind, record, word, actor, given)), "print": print_}


def carry_on(answer: dict[str, Any]) -> dict[str, Any]:
    """Begin what follows from a command; each has an id of its own, so that it begins once."""
    for name, arguments in answer.pop("begins"):
        DBOS.start_workflow(FLOWS[name], *arguments)
    return answer


def tell(case: str, word: str, given: Given) -> None:
    carry_on(source.run_tx_step(LOCKING, move, "onboardings", case, word, ENGINE, given))


@DBOS.workflow()
def wait(kind: str, record: str, since: int, word: str, seconds: float) -> None:
    """A time: it comes unless the state was left meanwhile."""
    DBOS.sleep(seconds)
    carry_on(source.run_tx_step(LOCKING, move, kind, record, word, ENGINE, {}, since))


@DBOS.workflow()
def press(task: str, what: str, seconds: float) -> None:
    """Remind of a task, or let it go on to the lead."""
    DBOS.sleep(seconds)
    source.run_tx_step(LOCKING, pressed, task, what)


def pressed(task_id: str, what: str) -> None:
    session = source.sql_session()
    task = session.get(Task, task_id, with_for_update=True)
    if task is not None:
        if what == "remind":
            task.reminded += 1
        else:
            task.role, task.holder, task.held_until = "lead", None, None
        session.add(Entry(record=task.record, word=what, actor="engine", given={"task": task.word}))


def request(method: str, path: str, key: str, body: Any) -> tuple[int, Any]:
    """One attempt. Whatever isn't an answer raises, and is tried again under the same key."""
    headers = {"Idempotency-Key": key}
    answer = httpx.request(method, ACCOUNTS + path, json=body, headers=headers, timeout=10)
    said = answer.json()
    if answer.status_code == 429 or answer.status_code >= 500 or said.get("code") == "key_in_use":
        raise RuntimeError(f"answered with {answer.status_code}")
    return answer.status_code, said


def wanted(case: str) -> tuple[str, dict[str, Any], str | None]:
    """The state of an onboarding, the account that it wants, and the one that it has."""
    found = source.sql_session().get_one(Case, case)
    return found.state, {"reference": case, "login": found.login, "name": found.name}, found.account


@DBOS.workflow()
def make(case: str, key: str) -> None:
    """Make the account; where that has begun, until it is known how it ended."""
    begun, pause_s = False, 1.0
    while True:
        state, body, _ = source.run_tx_step(LOCKING, wanted, case)
        if not begun and state == "stopping":
            return tell(case, "not_made", {"problem": "withdrawn"})
        try:
            status, said = DBOS.run_step({"name": "make"}, request, "POST", "/accounts", key, body)
        except Exception as fault:  # noqa: BLE001 - it is asked again under the same key
            begun = begun or not isinstance(fault, httpx.ConnectError)
            DBOS.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
            continue
        if status < 300:
            return tell(case, "made", {"account": said["id"]})
        return tell(case, "not_made", {"problem": said["code"]})


@DBOS.workflow()
def remove(case: str, key: str) -> None:
    """Delete the account: until it is done; what is refused waits for a person."""
    pause_s = 1.0
    _, _, account = source.run_tx_step(LOCKING, wanted, case)
    while True:
        try:
            path = f"/accounts/{account}"
            status, said = DBOS.run_step({"name": "remove"}, request, "DELETE", path, key, None)
        except Exception:  # noqa: BLE001 - the same
            DBOS.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
            continue
        if status >= 300 and said["code"] != "deleted":
            source.run_tx_step(LOCKING, owe, case, DBOS.workflow_id, account, said["code"])
            DBOS.recv("settled", timeout_seconds=10 * 365 * 86_400)
        return tell(case, "deleted", {})


def owe(case: str, flow: Any, account: Any, code: str) -> None:
    session = source.sql_session()
    due = source.sql_session().get_one(Case, case).first_day
    session.add(Task(id=flow, kind="onboardings", record=case, word="settle", role="it", due=due))
    given = {"account": account, "code": code}
    session.add(Entry(record=case, word="stuck", actor="engine", given=given))


@DBOS.workflow()
def deliver(subscription: str, message: str, body: dict[str, Any]) -> None:
    """Tell a subscriber, until it is taken, for three days."""
    pause_s, left_s = 5.0, RETRIED_FOR_S
    while left_s > 0:
        target = source.run_tx_step(LOCKING, target_of, subscription)
        if target is None:
            return
        status = DBOS.run_step({"name": "deliver"}, post, *target, message, body)
        if status < 300:
            return
        if status == 410:
            source.run_tx_step(LOCKING, silence, subscription)
            return
        DBOS.sleep(pause_s)
        left_s, pause_s = left_s - pause_s, min(pause_s * 2, 3_600.0)


def target_of(subscription: str) -> tuple[str, str] | None:
    found = source.sql_session().get(Subscription, subscription)
    return (found.url, found.secret) if found and found.live else None


def silence(subscription: str) -> None:
    source.sql_session().get_one(Subscription, subscription).live = False


def post(url: str, secret: str, message: str, body: dict[str, Any]) -> int:
    """One attempt, signed as Standard Webhooks has it."""
    now, content = int(time.time()), json.dumps(body)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{message}.{now}.{content}".encode(), hashlib.sha256)
    headers = {
        "webhook-id": message, "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}", "content-type": "application/json",
    }  # fmt: skip
    try:
        return httpx.post(url, content=content, headers=headers, timeout=20).status_code
    except httpx.HTTPError:
        return 599


FLOWS: dict[str, Any] = {
    "wait": wait, "press": press, "making": make, "deleting": remove, "deliver": deliver,
}  # fmt: skip
