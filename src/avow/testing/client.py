"""`Provider`: the outside for a test, in a process of its own."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import IO, Any, Final, TypeAlias
from urllib.parse import urlsplit

from avow.errors import EnvironmentFault
from avow.testing.provider.behaviour import ANY, Fault
from avow.testing.provider.ledger import Ledger

CONTROL_TIMEOUT_S: Final = 30.0
END_S_MAX: Final = 10.0

Step: TypeAlias = "str | Fault | list[str | Fault]"
"""What one request does: a fault's name, a `Fault` with options, several at once, or `fine`."""


class ControlError(Exception):
    """The provider can't do what a test asked of it; the text says why."""


class Provider:
    """Starts the outside, rules it, and ends it. A context manager; what it did is gone with it.

        with Provider() as outside:
            outside.behave("payment", "capture", script=["lose_reply"])
            ...                                        # the system under test calls outside.url
            assert outside.ledger().balance("order-1") == 1200

    seed: of what misbehaves by chance. port: of the services; 0: any that is free.
    url:  where the services are. control_url: where the control interface is.
    """

    def __init__(self, *, seed: int = 0, port: int = 0) -> None:
        self._seed, self._port = seed, port
        self._process: subprocess.Popen[bytes] | None = None
        self.url, self.control_url = "", ""

    # --- the process ----------------------------------------------------------------------------

    def start(self) -> Provider:
        """Start the process, and wait until it serves. Raises EnvironmentFault where it doesn't."""
        command = [sys.executable, "-m", "avow.testing.provider", "--until-eof"]
        command += ["--port", str(self._port), "--seed", str(self._seed)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        out: IO[bytes] | None = self._process.stdout
        line = out.readline() if out else b""
        if not line:
            self.stop()
            raise EnvironmentFault("provider-failed", "the provider did not start", "See the message above.")
        said = json.loads(line)
        self.url, self.control_url = said["url"], said["control"]
        return self

    def stop(self) -> None:
        """End it."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it with SIGKILL: what it has not said, it never says."""
        self._end(kill=True)

    def __enter__(self) -> Provider:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what it did ----------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """What was really done so far."""
        return Ledger.read(self._ask("GET", "/ledger"))

    def requests(self) -> list[dict[str, Any]]:
        """Every request that arrived and is over: number, service, operation, key, faults, status."""
        return self._ask("GET", "/requests")["items"]

    def sent_webhooks(self) -> list[dict[str, Any]]:
        """Every attempt to deliver a webhook, in order: id, type, reference, attempt, body, status, ..."""
        return self._ask("GET", "/webhooks")["items"]

    # --- how it behaves -------------------------------------------------------------------------

    def behave(
        self, service: str = ANY, operation: str = ANY, *, script: Iterable[Step] = (),
        chance: Mapping[str | Fault, float] | None = None,
    ) -> None:  # fmt: skip
        """Replace what goes wrong with an operation; without script and chance, nothing does.

        script: one step for each of the next requests.
        chance: what goes wrong when the script is at its end, each with its probability.
        """
        steps = [[_document(one) for one in (step if isinstance(step, list) else [step])] for step in script]
        chances = [{**_document(one), "chance": odds} for one, odds in (chance or {}).items()]
        rule = {"service": service, "operation": operation, "script": steps, "chance": chances}
        self._ask("PUT", "/behaviour", rule)

    def lose_reply(self, service: str = ANY, operation: str = ANY, *, times: int = 1) -> None:
        """Do what the next requests ask, and cut them off in place of the answer."""
        self.behave(service, operation, script=["lose_reply"] * times)

    def duplicate(self, times: int = 1, service: str = ANY, operation: str = ANY) -> None:
        """Let each of the next requests arrive twice."""
        self.behave(service, operation, script=["duplicate"] * times)

    def delay(self, seconds: float, service: str = ANY, operation: str = ANY, *, times: int = 1) -> None:
        """Let the next requests wait before they are seen."""
        self.behave(service, operation, script=[Fault("delay", seconds=seconds)] * times)

    def refuse(self, service: str = ANY, operation: str = ANY, *, times: int = 1) -> None:
        """Answer the next requests with 503, with nothing done."""
        self.behave(service, operation, script=[Fault("busy", seconds=0)] * times)

    def behave_well(self) -> None:
        """Forget every rule."""
        self._ask("DELETE", "/behaviour")

    def reset(self) -> None:
        """Begin anew, with an empty ledger and as it was made; what is under way is forgotten, and cut."""
        self._ask("POST", "/reset")

    def keep_keys(self, service: str, keeping: str) -> None:
        """Which answers a service keeps under a key: `done`, `every` or `ignored`."""
        self._ask("PUT", "/service", {"service": service, "keys": keeping})

    def give_results(self, service: str, when: str) -> None:
        """When a service says how something ended: by `webhook`, `at_once`, or when `told`."""
        self._ask("PUT", "/service", {"service": service, "results": when})

    def set_stock(self, pieces: Mapping[str, int]) -> None:
        """How many pieces of each sku are free."""
        self._ask("PUT", "/service", {"service": "stock", "free": dict(pieces)})

    def send_webhooks_to(
        self,
        url: str,
        *,
        service: str = ANY,
        secret: str | None = None,
        retries_s: Iterable[float] | None = None,
    ) -> str:
        """Where the events of a service go, `http://` only. Gives the secret that signs them.

        retries_s: the pauses before a webhook that wasn't taken is sent again; for all services.
        """
        asked: dict[str, Any] = {"url": url, "service": service, "secret": secret}
        if retries_s is not None:
            asked["retries_s"] = list(retries_s)
        return self._ask("PUT", "/webhooks", asked)["secret"]

    def down(self) -> None:
        """Refuse connections to every service, and cut those that there are."""
        self._ask("PUT", "/down", {"down": True})

    def up(self) -> None:
        """Accept connections again."""
        self._ask("PUT", "/down", {"down": False})

    def settle(self, service: str, reference: str, result: str | None = None) -> dict[str, Any]:
        """End what is open: deliver a shipment, complete a check, authorize a pending payment."""
        return self._ask("POST", "/settle", {"service": service, "reference": reference, "result": result})

    # --- exact order ----------------------------------------------------------------------------

    def wait_held(self, name: str = "gate", count: int = 1) -> None:
        """Wait until so many requests or webhooks stand at a gate."""
        self._ask("POST", "/held", {"name": name, "count": count})

    def release(self, name: str = "gate", count: int | None = None) -> int:
        """Let go those who stand at a gate, or the first of them; how many that were."""
        return self._ask("POST", "/release", {"name": name, "count": count})["released"]

    def wait_quiet(self) -> None:
        """Wait until no webhook is on its way, but those at a gate."""
        self._ask("POST", "/quiet")

    # --- the control interface ------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control interface. Raises ControlError when it can't do that, TimeoutError after 30 s."""
        connection = http.client.HTTPConnection(urlsplit(self.control_url).netloc, timeout=CONTROL_TIMEOUT_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ControlError(said["detail"])
        return said

    def _end(self, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _document(step: str | Fault) -> dict[str, Any]:
    return {"kind": step} if isinstance(step, str) else step.document()
