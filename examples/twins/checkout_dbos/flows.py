"""What goes on by itself: an order is carried out or undone, a transfer is awaited, money is sent back."""

import os
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
from dbos import DBOS

from .machine import ENGINE, Actor, move
from .tables import Order, Owed, Refund, source

PROVIDER = os.environ["CHECKOUT_PROVIDER_URL"]
LOCKING: Any = {"isolation_level": "READ COMMITTED"}
PAUSE_S, PAUSE_S_MAX, PARKED_FOR_S, FOREVER_S = 0.2, 300.0, 15 * 86_400.0, 10 * 365 * 86_400
EARLY = ("announced",)


def carry_on(answer: dict[str, Any]) -> dict[str, Any]:
    """Begin what follows from a command; each has an id of its own, so that it begins once."""
    for name, arguments in answer.pop("begins"):
        DBOS.start_workflow(FLOWS[name], *arguments)
    return answer


def give(kind: str, record: str, word: str, told: Any = None, actor: Actor = ENGINE, **given: Any) -> Any:
    return carry_on(source.run_tx_step(LOCKING, move, kind, record, word, actor, given, told or {}))


@DBOS.workflow()
def command(kind: str, record: str, word: str, actor: Actor, given: dict[str, Any], print_: str) -> Any:
    return {**give(kind, record, word, None, actor, **given), "print": print_}


@DBOS.workflow()
def wait(order: str, word: str, seconds: float) -> None:
    """A time: it comes unless the state was left meanwhile."""
    DBOS.sleep(seconds)
    give("orders", order, word)


def request(method: str, path: str, key: str, body: Any) -> tuple[int, Any]:
    """One attempt. Whatever isn't an answer raises, and is tried again under the same key."""
    headers = {"Idempotency-Key": key} if method == "POST" else {}
    answer = httpx.request(method, PROVIDER + path, json=body, headers=headers, timeout=10)
    said = answer.json()
    if answer.status_code in (429, *range(500, 600)) or said.get("code") == "key_in_use":
        raise RuntimeError(f"{path} was answered with {answer.status_code}")
    return answer.status_code, said


def call(method: str, path: str, key: str = "", body: Any = None) -> dict[str, Any]:
    """Until it is known how it ended: what was said, with a `problem` where it was refused."""
    pause_s = PAUSE_S
    while True:
        try:
            status, said = DBOS.run_step({"name": path}, request, method, path, key, body)
        except Exception:  # noqa: BLE001 - it is asked again under the same key
            DBOS.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
            continue
        return said if status < 300 else {**said, "problem": said["code"]}


def owe(order: str, path: str, key: str, body: Any = None, fine: tuple[str, ...] = ()) -> dict[str, Any]:
    """What has to be done: until it is; what is refused waits for a person."""
    said = call("POST", path, key, body)
    if "problem" in said and fine and call("GET", path.rpartition("/")[0])["status"] in fine:
        return said
    if "problem" in said:
        source.run_tx_step(LOCKING, stick, f"{DBOS.workflow_id}#{key}", order, path, said["problem"])
        DBOS.recv(key, timeout_seconds=FOREVER_S)
    return said


def stick(owed: str, record: str, path: str, code: str) -> None:
    source.sql_session().add(Owed(id=owed, record=record, path=path, code=code))


def look(order: str) -> dict[str, Any]:
    found = source.sql_session().get_one(Order, order)
    return {column.key: getattr(found, column.key) for column in Order.__table__.columns}


def keep(order: str, name: str, value: Any) -> None:
    setattr(source.sql_session().get_one(Order, order, with_for_update=True), name, value)


@dataclass(frozen=True)
class Step:
    """One call of an order: what is asked for, where the answer's id is kept, and what undoes it."""

    name: str
    path: str
    body: dict[str, Any]
    kept: str = ""
    undo: str = ""


def steps_of(o: dict[str, Any]) -> list[Step]:
    def pay(name: str, card: str, cents: int, kept: str) -> Step:
        body = {"amount": cents, "currency": "EUR", "card": card, "reference": o["id"]}
        return Step(name, "/payments/authorize", body, kept, "/payments/{id}/void")

    wanted = {"sku": o["sku"], "quantity": o["quantity"], "reference": o["id"]}
    found = [Step("reserve", "/stock/reserve", wanted, undo="/stock/release")]
    if o["card_cents"] and not o["later"]:
        found.append(pay("authorize", o["card"], o["card_cents"], "payment"))
    if o["second_cents"]:
        found.append(pay("authorize-second", o["second_card"], o["second_cents"], "second_payment"))
    return found


@DBOS.workflow()
def fulfil(order: str) -> None:
    """Reserve, authorize, capture, ship; or undo in reverse what was done."""
    o, done = source.run_tx_step(LOCKING, look, order), list[tuple[Step, str]]()
    problem = None
    for step in steps_of(o):
        if source.run_tx_step(LOCKING, look, order)["state"] != "placed":
            break
        said = call("POST", step.path, f"{order}/{step.name}", step.body)
        problem = said.get("problem")
        if problem:
            break
        done.append((step, said.get("id", "")))
        if step.kept:
            source.run_tx_step(LOCKING, keep, order, step.kept, said["id"])
    if o["later"] and not problem and call("GET", f"/payments/{o['payment']}").get("status") != "authorized":
        problem = "transfer-missing"
    begun = not problem and give("orders", order, "capture")["status"] == 200
    o = source.run_tx_step(LOCKING, look, order)
    if begun and o["card_cents"]:
        problem = call(
            "POST", f"/payments/{o['payment']}/capture", f"{order}/capture", {"amount": o["card_cents"]}
        ).get("problem")
    if not begun or problem:
        give("orders", order, "fail", problem=problem or "cancelled")
        for step, made in reversed(done):
            key, fine = f"{order}/{step.name}/undo", ("voided", "declined") if step.kept else ()
            owe(order, step.undo.format(id=made), key, {"reference": order} if not step.kept else None, fine)
        let_go(order)
        return
    if o["second_cents"]:
        path = f"/payments/{o['second_payment']}/capture"
        owe(order, path, f"{order}/capture-second", {"amount": o["second_cents"]})
    shipped = owe(order, "/shipments", f"{order}/ship", {"reference": order, "address": o["address"]})
    give("orders", order, "complete", {"shipment": shipped.get("id")})


@DBOS.workflow()
def let_go(order: str) -> None:
    """The end of an order of which nothing is left: also not what was transferred."""
    o = source.run_tx_step(LOCKING, look, order)
    if o["later"] and o["payment"]:
        owe(order, f"/payments/{o['payment']}/void", f"{order}/void", fine=("voided", "declined"))
    give("orders", order, "give_back")


@DBOS.workflow()
def announce(order: str) -> None:
    """Tell the provider of a transfer, and wait for it."""
    o = source.run_tx_step(LOCKING, look, order)
    said: dict[str, Any] = {"problem": "cancelled"}
    if o["state"] == "announced":
        body = {"amount": o["card_cents"], "currency": "EUR", "card": "later", "reference": order}
        said = call("POST", "/payments/authorize", f"{order}/announce", body)
    if "problem" in said:
        give("orders", order, "fail", problem=said["problem"])
        let_go(order)
        return
    if give("orders", order, "announce", {"payment": said["id"]})["status"] != 200:  # cancelled meanwhile
        source.run_tx_step(LOCKING, keep, order, "payment", said["id"])
        let_go(order)


@DBOS.workflow()
def hear(order: str, word: str) -> None:
    """What the provider says of a transfer: at once, or as soon as the order waits for it."""
    pause_s, left_s = PAUSE_S, PARKED_FOR_S
    while left_s > 0 and source.run_tx_step(LOCKING, state_of, order) in EARLY:
        DBOS.sleep(pause_s)
        left_s, pause_s = left_s - pause_s, min(pause_s * 2, PAUSE_S_MAX)
    give("orders", order, word)


def state_of(order: str) -> str | None:
    found = source.sql_session().get(Order, order)
    return None if found is None else found.state


@DBOS.workflow()
def send_back(refund: str) -> None:
    """Give money back to the card that it came from."""
    payment, cents = source.run_tx_step(LOCKING, back_to, refund)
    said = call("POST", f"/payments/{payment}/refund", refund, {"amount": cents})
    if "problem" in said:
        give("refunds", refund, "no", problem=said["problem"])
    else:
        give("refunds", refund, "done", {"receipt": said["id"]})


def back_to(refund: str) -> tuple[str | None, int]:
    found = source.sql_session().get_one(Refund, refund)
    order = source.sql_session().get_one(Order, found.order)
    return order.second_payment if found.on_second else order.payment, found.on_first + found.on_second


FLOWS: dict[str, Any] = {
    "wait": wait, "fulfil": fulfil, "let_go": let_go, "announce": announce, "send_back": send_back,
}  # fmt: skip
