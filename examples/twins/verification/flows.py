"""What goes on by itself: orders, times, what providers say, and what others are told."""

import base64
import hmac
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
from dbos import DBOS

from .machine import ENGINE, HEARD_LATER, Actor, move, open_case
from .tables import Case, Entry, Subscription, Task, source

PROVIDERS: dict[str, dict[str, str]] = json.loads(os.environ["VERIFICATION_PROVIDERS"])
KINDS = {"idscan": "document", "bureau": "registers"}
PARKED_FOR, RETRIED_FOR_S, PAUSE_S_MAX = timedelta(days=15), 3 * 86_400.0, 300.0
LOCKING: Any = {"isolation_level": "READ COMMITTED"}


def carry_on(answer: dict[str, Any]) -> dict[str, Any]:
    """Begin what follows from a command; each has an id of its own, so that it begins once."""
    for name, arguments in answer.pop("begins"):
        DBOS.start_workflow(FLOWS[name], *arguments)
    return answer


@DBOS.workflow()
def command(case: str, word: str, actor: Actor, given: dict[str, Any], fingerprint: str) -> dict[str, Any]:
    if word in ("apply", "renew"):
        answer = source.run_tx_step(LOCKING, open_case, case, actor, given)
    else:
        answer = source.run_tx_step(LOCKING, move, case, word, actor, given)
    return {**carry_on(answer), "fingerprint": fingerprint}


@DBOS.workflow()
def wait(case: str, since: int, word: str, seconds: float) -> None:
    """A time: it comes unless the state was left meanwhile."""
    DBOS.sleep(seconds)
    carry_on(source.run_tx_step(LOCKING, move, case, word, ENGINE, {}, since))


@DBOS.workflow()
def nag(task: str, what: str, seconds: float) -> None:
    """Remind of a task, or let it go on to an officer."""
    DBOS.sleep(seconds)
    source.run_tx_step(LOCKING, press, task, what)


def press(task_id: str, what: str) -> None:
    session = source.sql_session()
    task = session.get(Task, task_id, with_for_update=True)
    if task is not None:
        if what == "remind":
            task.reminded = True
        else:
            task.role, task.holder, task.held_until = "officer", None, None
        session.add(Entry(case=task.case, word=what, actor="engine", given={"task": task.word}))


def request(provider: str, method: str, path: str, key: str, body: Any) -> tuple[int, Any]:
    """One attempt. Whatever isn't an answer raises, and is tried again under the same key."""
    answer = httpx.request(
        method, PROVIDERS[provider]["url"] + path, json=body, headers={"Idempotency-Key": key}, timeout=10
    )
    said = answer.json()
    if answer.status_code >= 500 or said.get("code") == "key_in_use":
        raise RuntimeError(f"{provider} answered {answer.status_code}")
    return answer.status_code, said


def state_of(case: str) -> tuple[str, float]:
    """The state of a case, and how long the providers still have."""
    found = source.sql_session().get_one(Case, case)
    return found.state, (found.answer_by - datetime.now(UTC)).total_seconds()


@DBOS.workflow()
def order(case: str, provider: str, body: dict[str, str]) -> dict[str, str]:
    """Order a check; where it has begun, until it is known how that ended."""
    begun, pause_s = False, 1.0
    while True:
        state, left_s = source.run_tx_step(LOCKING, state_of, case)
        if not begun and (state != "submitted" or left_s <= 0):
            return {"problem": "cancelled" if state == "cancelling" else "expired"}
        try:
            status, said = DBOS.run_step({"name": "order"}, request, provider, "POST", "/checks", case, body)
        except Exception as fault:  # noqa: BLE001 - it is asked again under the same key
            begun = begun or not isinstance(fault, httpx.ConnectError)
            DBOS.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
            continue
        return {"id": said["id"]} if status < 300 else {"problem": said["code"]}


@DBOS.workflow()
def recall(case: str, provider: str, check: str) -> None:
    """Cancel a check: until it is done; what is refused waits for a person."""
    pause_s = 1.0
    while True:
        try:
            path = f"/checks/{check}/cancel"
            status, said = DBOS.run_step(
                {"name": "recall"}, request, provider, "POST", path, f"{case}/off", None
            )
        except Exception:  # noqa: BLE001 - the same
            DBOS.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
            continue
        if status >= 300 and said["code"] != "wrong_status":
            source.run_tx_step(LOCKING, owe, case, DBOS.workflow_id, provider, check, said["code"])
            DBOS.recv("settled", timeout_seconds=10 * 365 * 86_400)
        return


def owe(case: str, flow: str, provider: str, check: str, code: str) -> None:
    session = source.sql_session()
    session.add(Task(id=flow, case=case, word="settle", role="officer"))
    given = {"provider": provider, "check": check, "code": code}
    session.add(Entry(case=case, word="stuck", actor="engine", given=given))


@DBOS.workflow()
def ask(case: str) -> None:
    """Ask both providers at once; where one says no, or nobody wants it any more, the other is called off."""
    body = source.run_tx_step(LOCKING, order_of, case)
    flows = {p: DBOS.start_workflow(order, case, p, {**body, "kind": kind}) for p, kind in KINDS.items()}
    results = {provider: flow.get_result() for provider, flow in flows.items()}
    given = {provider: result["id"] for provider, result in results.items() if "id" in result}
    problem = next((result["problem"] for result in results.values() if "problem" in result), None)
    cancelled = source.run_tx_step(LOCKING, state_of, case)[0] == "cancelling"
    problem = "cancelled" if cancelled else problem
    if problem:
        take_all_back(case, given)
    answer = source.run_tx_step(LOCKING, move, case, "ordered", ENGINE, given | {"problem": problem})
    if answer["body"]["state"] == "withdrawn" and not problem:  # it was cancelled in the last moment
        take_all_back(case, given)
    carry_on(answer)


def take_all_back(case: str, checks: dict[str, str]) -> None:
    for provider, check in checks.items():
        recall(case, provider, check)


def order_of(case: str) -> dict[str, str]:
    found = source.sql_session().get_one(Case, case)
    return {"subject": found.person, "document": found.passport, "reference": case}


@DBOS.workflow()
def take_back(case: str, checks: dict[str, str | None]) -> None:
    take_all_back(case, {provider: check for provider, check in checks.items() if check})
    carry_on(source.run_tx_step(LOCKING, move, case, "recalled", ENGINE, {}))


@DBOS.workflow()
def listen(provider: str, data: dict[str, Any]) -> None:
    """What a provider says: at once, or as soon as the case is in a state for it."""
    pause_s, left_s, case = 1.0, PARKED_FOR.total_seconds(), str(data["reference"])
    given = {name: data[name] for name in ("id", "result", "risk", "revision")} | {"provider": provider}
    while True:
        while left_s > 0 and source.run_tx_step(LOCKING, is_early, case):
            DBOS.sleep(pause_s)
            left_s, pause_s = left_s - pause_s, min(pause_s * 2, PAUSE_S_MAX)
        answer = source.run_tx_step(LOCKING, move, case, "hear", ENGINE, given)
        if answer["status"] == 200 or left_s <= 0 or not source.run_tx_step(LOCKING, is_early, case):
            carry_on(answer)
            return


def is_early(case: str) -> bool:
    """Whether a case will only come into a state in which a provider is heard."""
    found = source.sql_session().get(Case, case)
    return found is None or found.state in HEARD_LATER


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


def signature(secret: str, message: str, at: str, content: bytes) -> str:
    """As Standard Webhooks has it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message}.{at}.".encode() + content, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def post(url: str, secret: str, message: str, body: dict[str, Any]) -> int:
    at, content = str(int(datetime.now(UTC).timestamp())), json.dumps(body).encode()
    headers = {
        "webhook-id": message, "webhook-timestamp": at, "content-type": "application/json",
        "webhook-signature": signature(secret, message, at, content),
    }  # fmt: skip
    try:
        return httpx.post(url, content=content, headers=headers, timeout=20).status_code
    except httpx.HTTPError:
        return 599


FLOWS: dict[str, Any] = {"wait": wait, "nag": nag, "ask": ask, "take_back": take_back, "deliver": deliver}
