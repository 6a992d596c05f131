"""The simulated outside over real HTTP: it misbehaves as told, and its ledger is the truth."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from avow.testing import ControlError, Fault, Provider
from tests.acceptance.development import until
from tests.contract.fix_receiver import Receiver

PATIENCE_S = 60.0
IMPATIENCE_S = 0.3
NO_ANSWER = (httpx2.RemoteProtocolError, httpx2.ReadError)


@dataclass
class Outside:
    """A provider, and a client of its services."""

    provider: Provider
    client: httpx2.Client
    threads: ThreadPoolExecutor

    def post(self, path: str, key: str | None = None, **body: Any) -> httpx2.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(path, json=body, headers=headers)

    def begin(self, path: str, key: str | None = None, **body: Any) -> Future[httpx2.Response]:
        """The same, without waiting for the answer."""
        return self.threads.submit(self.post, path, key, **body)

    def authorize(self, reference: str = "a", key: str | None = None, amount: int = 900) -> httpx2.Response:
        return self.post(
            "/payments/authorize", key, amount=amount, currency="EUR", card="4242", reference=reference
        )

    def reserve(self, reference: str = "a", key: str | None = None) -> httpx2.Response:
        return self.post("/stock/reserve", key, sku="chair", quantity=1, reference=reference)

    def reserved(self) -> int:
        return self.provider.ledger().count("stock", "reserve")


@pytest.fixture(scope="module")
def provider() -> Generator[Provider]:
    with Provider(seed=7) as started:
        yield started


def _client(provider: Provider) -> httpx2.Client:
    return httpx2.Client(base_url=provider.url, timeout=PATIENCE_S, trust_env=False)


@pytest.fixture
def outside(provider: Provider) -> Generator[Outside]:
    """The module's process, as new."""
    provider.reset()
    with (
        _client(provider) as client,
        ThreadPoolExecutor() as threads,
    ):
        yield Outside(provider, client, threads)


# --- keys ---------------------------------------------------------------------------------------


def test_a_key_replays_its_answer_and_nothing_is_done_again(outside: Outside) -> None:
    first, again = outside.authorize(key="k"), outside.authorize(key="k")
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert outside.provider.ledger().count("payment", "authorize") == 1


def test_a_key_with_another_body_is_refused(outside: Outside) -> None:
    outside.authorize(key="k", amount=900)
    other = outside.authorize(key="k", amount=901)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_two_services_do_not_share_a_key(outside: Outside) -> None:
    outside.authorize(key="k")
    assert outside.reserve(key="k").status_code == 201


def test_a_key_at_work_is_refused_until_the_work_is_done(outside: Outside) -> None:
    outside.provider.behave("stock", "reserve", script=[Fault("hold", at="work")])
    first = outside.begin("/stock/reserve", "k", sku="chair", quantity=1, reference="a")
    outside.provider.wait_held()
    assert outside.reserve(key="k").json()["code"] == "key_in_use"
    assert outside.client.get("/requests/k").json()["state"] == "working"
    assert outside.provider.release() == 1
    assert first.result().status_code == 201
    assert outside.reserve(key="k").content == first.result().content


def test_keys_that_are_ignored_let_a_retry_do_it_twice_and_the_ledger_shows_it(outside: Outside) -> None:
    outside.provider.keep_keys("stock", "ignored")
    outside.reserve(key="k")
    outside.reserve(key="k")
    (doubled,) = outside.provider.ledger().doubled()
    assert (doubled.operation, doubled.reference, len(doubled.entries)) == ("reserve", "a", 2)
    assert outside.client.get("/requests/k?service=stock").status_code == 501


def test_a_refusal_is_tried_again_under_its_key_or_replayed_for_ever(outside: Outside) -> None:
    outside.provider.set_stock({"chair": 0})
    assert outside.reserve(key="k").json()["code"] == "sold_out"
    outside.provider.set_stock({"chair": 1})
    assert outside.reserve(key="k").status_code == 201

    outside.provider.keep_keys("stock", "every")
    outside.provider.set_stock({"chair": 0})
    outside.reserve("b", key="l")
    outside.provider.set_stock({"chair": 1})
    assert outside.reserve("b", key="l").json()["code"] == "sold_out"


def test_a_500_is_replayed_where_every_answer_is_kept_though_the_work_was_done(outside: Outside) -> None:
    outside.provider.keep_keys("stock", "every")
    outside.provider.behave("stock", "reserve", script=["fail_after"])
    assert [outside.reserve(key="k").status_code for _ in range(2)] == [500, 500]
    assert outside.reserved() == 1


def test_the_lookup_tells_what_became_of_a_key(outside: Outside) -> None:
    assert outside.client.get("/requests/k").status_code == 404
    outside.provider.behave("payment", script=["lose_reply"])
    with pytest.raises(NO_ANSWER):
        outside.authorize(key="k")
    known = outside.client.get("/requests/k").json()
    assert (known["service"], known["operation"], known["status"]) == ("payment", "authorize", 201)
    found = outside.client.get("/payments", params={"reference": "a"}).json()["items"]
    assert found == [known["answer"]]


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "done"),
    [("cut_before", 0), ("lose_reply", 1), ("cut_within", 1)],
)
def test_a_cut_before_the_work_does_nothing_and_one_behind_it_has_done_it(
    outside: Outside, fault: str, done: int
) -> None:
    outside.provider.behave("stock", "reserve", script=[fault])
    with pytest.raises(NO_ANSWER):
        outside.reserve(key="k")
    assert outside.reserved() == done
    assert outside.reserve(key="k").status_code == 201
    assert outside.reserved() == 1


def test_a_silent_service_has_done_it_when_its_client_gives_up(outside: Outside) -> None:
    outside.provider.behave("stock", "reserve", script=["silent"])
    outside.client.timeout = IMPATIENCE_S
    with pytest.raises(httpx2.ReadTimeout):
        outside.reserve()
    until(lambda: outside.reserved() == 1, "the service has done what it was asked")


@pytest.mark.parametrize(("key", "done"), [(None, 2), ("k", 1)])
def test_a_request_that_arrives_twice_is_done_twice_unless_it_has_a_key(
    outside: Outside, key: str | None, done: int
) -> None:
    outside.provider.behave("stock", "reserve", script=["duplicate"])
    assert outside.reserve(key=key).status_code == 201
    assert outside.reserved() == done
    assert len(outside.provider.ledger().doubled()) == done - 1


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        ("fail_before", 500, 0),
        (Fault("fail_before", status=502), 502, 0),
        ("fail_after", 500, 1),
        ("busy", 503, 0),
        (Fault("busy", status=429, seconds=7), 429, 0),
    ],
)
def test_a_failure_says_its_status_and_may_have_done_it(
    outside: Outside, fault: str | Fault, status: int, done: int
) -> None:
    outside.provider.behave("stock", "reserve", script=[fault])
    assert outside.reserve().status_code == status
    assert outside.reserved() == done


def test_a_busy_service_says_when_to_come_again(outside: Outside) -> None:
    outside.provider.behave(script=[Fault("busy", status=429, seconds=7)])
    assert outside.reserve().headers["retry-after"] == "7"


def test_an_answer_may_be_wrong_though_the_ledger_is_right(outside: Outside) -> None:
    outside.provider.behave("payment", script=[Fault("wrong_amount", by=-50), "garbage"])
    assert outside.authorize(amount=900).json()["amount"] == 850
    with pytest.raises(ValueError, match="Expecting value"):
        outside.authorize("b").json()
    assert [entry.amount for entry in outside.provider.ledger()] == [900, 900]


def test_a_script_is_followed_request_by_request(outside: Outside) -> None:
    outside.provider.behave("stock", script=["busy", "fine", ["duplicate", "fail_after"]])
    assert [outside.reserve(str(number)).status_code for number in range(4)] == [503, 201, 500, 201]
    assert [seen["faults"] for seen in outside.provider.requests()] == [
        ["busy"], [], ["duplicate", "fail_after"], [],
    ]  # fmt: skip
    assert outside.reserved() == 4


def test_chance_is_the_same_in_two_processes_with_one_seed() -> None:
    def statuses() -> list[int]:
        with Provider(seed=3) as provider, _client(provider) as client:
            provider.behave("accounts", chance={"busy": 0.3, Fault("fail_before", status=502): 0.2})
            return [client.post("/accounts", json={"reference": str(n)}).status_code for n in range(40)]

    first = statuses()
    assert first == statuses()
    assert set(first) == {201, 502, 503}


def test_down_refuses_connections_and_up_is_the_same_address_with_the_same_ledger(outside: Outside) -> None:
    outside.reserve()
    outside.provider.down()
    with pytest.raises(httpx2.ConnectError), httpx2.Client(trust_env=False) as fresh:
        fresh.post(f"{outside.provider.url}/stock/reserve")
    outside.provider.up()
    with _client(outside.provider) as fresh:
        assert fresh.get("/stock?reference=a").json()["items"] == [{"sku": "chair", "quantity": 1}]


def test_who_is_cut_off_while_its_reply_is_held_gets_none_though_the_work_is_done(outside: Outside) -> None:
    outside.provider.behave("stock", script=[Fault("hold", at="reply")])
    cut = outside.begin("/stock/reserve", sku="chair", quantity=1, reference="a")
    outside.provider.wait_held()
    outside.provider.down()
    outside.provider.release()
    with pytest.raises(NO_ANSWER):
        cut.result()
    outside.provider.up()
    outside.reserve("b")
    assert [seen["status"] for seen in outside.provider.requests()] == [None, 201]
    assert outside.provider.ledger().reserved("a") == 1


def test_held_requests_are_let_go_one_by_one_in_order(outside: Outside) -> None:
    outside.provider.behave("stock", "reserve", script=[Fault("hold", name="door")] * 2)
    held = list[Future[httpx2.Response]]()
    for number, reference in enumerate(("a", "b"), 1):
        held.append(outside.begin("/stock/reserve", sku="chair", quantity=1, reference=reference))
        outside.provider.wait_held("door", number)
    assert outside.reserved() == 0
    assert outside.provider.release("door", 1) == 1
    assert held[0].result().json()["reference"] == "a"
    assert [entry.reference for entry in outside.provider.ledger()] == ["a"]
    outside.provider.release("door")
    assert held[1].result().status_code == 201


def test_a_delayed_step_is_carried_out_behind_its_compensation(outside: Outside) -> None:
    outside.provider.behave("stock", "reserve", script=["hold"])
    late = outside.begin("/stock/reserve", sku="chair", quantity=1, reference="a")
    outside.provider.wait_held()
    assert outside.post("/stock/release", reference="a").json()["quantity"] == 0
    outside.provider.release()
    late.result()
    assert outside.provider.ledger().reserved("a") == 1


# --- webhooks -----------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with Receiver() as started:
        yield started


def captured(outside: Outside, reference: str = "a") -> httpx2.Response:
    payment = outside.authorize(reference).json()["id"]
    return outside.post(f"/payments/{payment}/capture")


def test_a_webhook_is_signed_and_says_what_happened(outside: Outside, receiver: Receiver) -> None:
    receiver.secret = outside.provider.send_webhooks_to(receiver.url)
    captured(outside)
    outside.provider.wait_quiet()
    assert [hook.type for hook in receiver.got] == ["payment.authorized", "payment.captured"]
    assert all(hook.genuine for hook in receiver.got)
    assert receiver.got[1].data["captured"] == 900


def test_a_wrong_signature_is_wrong(outside: Outside, receiver: Receiver) -> None:
    receiver.secret = outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("webhooks", "stock.reserved", script=["wrong_signature"])
    outside.reserve()
    outside.provider.wait_quiet()
    assert [hook.genuine for hook in receiver.got] == [False]


def test_a_webhook_may_overtake_another(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("webhooks", "payment.authorized", script=["behind"])
    captured(outside)
    outside.provider.wait_quiet()
    overtaken = ["payment.captured", "payment.authorized"]
    assert [sent["type"] for sent in outside.provider.sent_webhooks()] == overtaken
    assert [hook.type for hook in receiver.got] == overtaken


def test_webhooks_of_one_reference_keep_their_order_though_the_receiver_is_slow(
    outside: Outside, receiver: Receiver
) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    receiver.free.clear()
    captured(outside)
    receiver.begun.acquire()
    assert [one["type"] for one in outside.provider.sent_webhooks()] == ["payment.authorized"]
    receiver.free.set()
    outside.provider.wait_quiet()
    assert [hook.type for hook in receiver.got] == ["payment.authorized", "payment.captured"]


def test_an_early_webhook_is_taken_before_its_request_is_answered(
    outside: Outside, receiver: Receiver
) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("webhooks", "stock.reserved", script=["early"])
    receiver.free.clear()
    answer = outside.begin("/stock/reserve", sku="chair", quantity=1, reference="a")
    receiver.begun.acquire()
    assert outside.provider.requests() == []
    receiver.free.set()
    assert answer.result().status_code == 201
    assert [hook.type for hook in receiver.got] == ["stock.reserved"]


def test_an_ordinary_webhook_waits_for_the_answer(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("stock", script=[Fault("hold", at="reply")])
    answer = outside.begin("/stock/reserve", sku="chair", quantity=1, reference="a")
    outside.provider.wait_held()
    outside.provider.wait_quiet()
    assert receiver.got == []
    outside.provider.release()
    answer.result()
    outside.provider.wait_quiet()
    assert [hook.type for hook in receiver.got] == ["stock.reserved"]


def test_a_webhook_may_come_thrice_at_once_under_one_id(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("webhooks", script=["repeat"])
    outside.reserve()
    outside.provider.wait_quiet()
    assert len(receiver.got) == 3
    assert len({hook.id for hook in receiver.got}) == 1


def test_a_webhook_that_is_not_taken_is_sent_again_until_it_is(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url, retries_s=[0.0, 0.0, 0.0])
    receiver.statuses = [500, 503]
    outside.reserve()
    outside.provider.wait_quiet()
    sent = outside.provider.sent_webhooks()
    assert [(one["attempt"], one["status"]) for one in sent] == [(1, 500), (2, 503), (3, 204)]
    assert len({hook.id for hook in receiver.got}) == 1


def test_a_receiver_that_is_gone_is_left_alone(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url, retries_s=[0.0, 0.0])
    receiver.statuses = [410]
    outside.reserve()
    outside.provider.wait_quiet()
    assert [one["status"] for one in outside.provider.sent_webhooks()] == [410]


def test_a_held_or_lost_webhook_does_not_come(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("webhooks", script=["lost", Fault("hold", name="hook")])
    outside.reserve("a")
    outside.reserve("b")
    outside.provider.wait_held("hook")
    outside.provider.wait_quiet()
    assert receiver.got == []
    outside.provider.release("hook")
    outside.provider.wait_quiet()
    assert [hook.data["reference"] for hook in receiver.got] == ["b"]


def test_what_is_under_way_at_a_reset_tells_nobody(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url)
    outside.provider.behave("stock", script=[Fault("hold", at="reply")])
    outside.provider.behave("webhooks", "account.created", script=["hold"])
    cut = outside.begin("/stock/reserve", sku="chair", quantity=1, reference="a")
    outside.post("/accounts", reference="a")
    outside.provider.wait_held(count=2)
    outside.provider.reset()
    with pytest.raises(NO_ANSWER):
        cut.result()
    assert (outside.provider.requests(), list(outside.provider.ledger())) == ([], [])
    outside.provider.wait_quiet()
    assert receiver.got == []


def test_what_ends_later_tells_so_when_it_is_settled(outside: Outside, receiver: Receiver) -> None:
    outside.provider.send_webhooks_to(receiver.url, service="shipping")
    outside.post("/shipments", reference="a")
    outside.reserve()  # whose webhook goes nowhere
    assert outside.provider.settle("shipping", "a")["status"] == "delivered"
    outside.provider.wait_quiet()
    assert [hook.type for hook in receiver.got] == ["shipment.delivered"]


# --- the process --------------------------------------------------------------------------------


def test_a_mistake_of_the_test_is_told(provider: Provider) -> None:
    for mistake, because in (
        (lambda: provider.behave("stock", script=["explode"]), "'explode' is none of"),
        (lambda: provider.keep_keys("moon", "every"), "'moon' is none of payment"),
        (lambda: provider.keep_keys("stock", "some"), "'some' is not a valid"),
        (lambda: provider.send_webhooks_to("https://a.example/"), "http://"),
        (lambda: provider.settle("shipping", "nobody"), "Nothing of `nobody` is created"),
    ):
        wrong: Callable[[], Any] = mistake
        with pytest.raises(ControlError, match=because):
            wrong()


@pytest.mark.parametrize("end", [Provider.stop, Provider.kill])
def test_an_ended_provider_refuses(end: Callable[[Provider], None]) -> None:
    provider = Provider().start()
    end(provider)
    with pytest.raises(httpx2.ConnectError), httpx2.Client(trust_env=False) as client:
        client.get(provider.url)


def test_it_ends_with_its_parent() -> None:
    program = "from avow.testing import Provider; import os; Provider().start(); os._exit(0)"
    # Whoever inherits the child's error output keeps it open: it closes when the provider is gone.
    ended = subprocess.run(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=PATIENCE_S, check=True
    )
    assert ended.stderr == b""


def test_a_port_that_is_taken_is_refused(provider: Provider) -> None:
    port = provider.url.rpartition(":")[2]
    command = [sys.executable, "-m", "avow.testing.provider", "--port", port]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stdout) == (3, b"")
    assert b"mend:" in ended.stderr
