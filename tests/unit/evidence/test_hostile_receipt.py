"""Somebody hostile hands over a receipt, or runs the log himself: the answer is INVALID, and never a crash,
nor a line that the verifier didn't mean."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pytest

from avow.canonical import decode, encode
from avow.cli.group import run
from avow.evidence.checkpoint import sign, text_of
from avow.evidence.note import SecretKey, Signer
from avow.evidence.verifier import Checkpoint, Invalid, Policy, believing, parse_policy, verify
from avow.evidence.verifier.__main__ import main as verifier
from tests.unit.evidence.receipts import ALONE, GONE, LOG, SEALED, WITNESS, WITNESSED, receipt

DATA = receipt()
FIRST, EXTRA, INDEX, *PROOF = DATA.partition(b"\n\n")[0].split(b"\n")
NOTE = DATA.partition(b"\n\n")[2]
NEXT = Signer("shop.example/log/2", LOG.key)
"""The log of the next epoch, with the key of the first."""
MUTATIONS = int(os.environ.get("AVOW_TEST_MUTATIONS", "600"))
"""How many damaged receipts are made by chance."""


def whole(*lines: bytes, note: bytes = NOTE) -> bytes:
    return b"\n".join([*lines, b"", note])


def extra(**changes: Any) -> bytes:
    """The line of what a receipt carries, with something changed in it."""
    held = decode(b64decode(EXTRA.removeprefix(b"extra ")))
    return b"extra " + b64encode(encode({**held, **changes}))


def of(size: int, root: bytes = bytes(32), signer: Signer = LOG, time: int = SEALED) -> bytes:
    """A checkpoint that is signed, whatever it says."""
    return sign(Checkpoint(signer.name, size, root), signer, time).encode()


FORMS = {
    "nothing": b"",
    "a line's end": b"\n",
    "only the first line": FIRST,
    "zeros": bytes(5_000),
    "a million times the first line": (FIRST + b"\n") * 1_000_000,
    "a long line": b"c" * 2_000_000,
    "another encoding": DATA.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + DATA,
    "carriage returns": DATA.replace(b"\n", b"\r\n"),
    "a NUL at the end": DATA + b"\0",
    "a NUL in a line": DATA.replace(b"index ", b"index \0"),
    "a blank before the first line": b"\n" + DATA,
    "a blank at a line's end": whole(FIRST, EXTRA, INDEX + b" ", *PROOF),
    "no extra": whole(FIRST, INDEX, *PROOF),
    "extra twice": whole(FIRST, EXTRA, EXTRA, INDEX, *PROOF),
    "extra behind the index": whole(FIRST, INDEX, EXTRA, *PROOF),
    "index twice": whole(FIRST, EXTRA, INDEX, INDEX, *PROOF),
    "another index behind the first": whole(FIRST, EXTRA, b"index 7", INDEX, *PROOF),
    "no index": whole(FIRST, EXTRA, *PROOF),
    "no proof": whole(FIRST, EXTRA, INDEX),
    "one hash more": whole(FIRST, EXTRA, INDEX, *PROOF, PROOF[0]),
    "one hash less": whole(FIRST, EXTRA, INDEX, *PROOF[:-1]),
    "hashes in another order": whole(FIRST, EXTRA, INDEX, *reversed(PROOF)),
    "an empty hash": whole(FIRST, EXTRA, INDEX, *PROOF, b""),
    "sixty-four hashes": whole(FIRST, EXTRA, INDEX, *PROOF * 16),
    "a hash without padding": whole(FIRST, EXTRA, INDEX, PROOF[0].rstrip(b"="), *PROOF[1:]),
    "a hash with other bits behind it": whole(FIRST, EXTRA, INDEX, PROOF[0][:-2] + b"Z=", *PROOF[1:]),
    "a hash in the alphabet of URLs": whole(
        FIRST, EXTRA, INDEX, *(b"-" + line[1:].replace(b"+", b"-").replace(b"/", b"_") for line in PROOF)
    ),
    "a signed index": whole(FIRST, EXTRA, b"index +6", *PROOF),
    "an index with a zero before it": whole(FIRST, EXTRA, b"index 06", *PROOF),
    "an index with an underscore": whole(FIRST, EXTRA, b"index 0_6", *PROOF),
    "an index of another script": whole(FIRST, EXTRA, "index ٦".encode(), *PROOF),
    "an index of many digits": whole(FIRST, EXTRA, b"index " + b"9" * 5_000, *PROOF),
    "the largest index": whole(FIRST, EXTRA, b"index 9223372036854775807", *PROOF),
    "the checkpoint twice": whole(FIRST, EXTRA, INDEX, *PROOF, note=NOTE + b"\n" + NOTE),
    "no checkpoint": whole(FIRST, EXTRA, INDEX, *PROOF, note=b""),
    "a checkpoint that nobody signed": whole(FIRST, EXTRA, INDEX, *PROOF, note=NOTE.partition(b"\n\n")[0]),
    "a checkpoint of the next epoch": whole(FIRST, EXTRA, INDEX, *PROOF, note=of(13, signer=NEXT)),
    "a checkpoint of nothing": whole(FIRST, EXTRA, INDEX, *PROOF, note=of(0)),
    "a checkpoint of one leaf": whole(FIRST, EXTRA, b"index 0", note=of(1)),
    "a checkpoint of all leaves there are": whole(FIRST, EXTRA, INDEX, *PROOF, note=of(2**63 - 1)),
    "a checkpoint of more": whole(
        FIRST, EXTRA, INDEX, *PROOF, note=NOTE.replace(b"\n13\n", b"\n9223372036854775808\n")
    ),
    "an origin that is another's": DATA.replace(b"\nshop.example/log\n", b"\nshop.example/log/2\n"),
    "an origin with a blank": DATA.replace(b"\nshop.example/log\n", b"\nshop.example/log \n"),
    "a hundred and one signatures": DATA + NOTE[NOTE.rindex("—".encode()) :] * 100,
    "a line behind the signatures": DATA + b"witnessed by: everybody\n",
    "a signature that is too short": DATA + "— w.example AAAA\n".encode(),
    "a member more": whole(FIRST, extra(more=1), INDEX, *PROOF),
    "another version": whole(FIRST, extra(v=2), INDEX, *PROOF),
    "a version that is true": whole(FIRST, extra(v=True), INDEX, *PROOF),
    "a claim that is none": whole(FIRST, extra(claim=None), INDEX, *PROOF),
    "a head that is none": whole(FIRST, extra(head=None), INDEX, *PROOF),
    "an erasure that is none": whole(FIRST, extra(erased=None), INDEX, *PROOF),
    "an erasure of nothing": whole(FIRST, extra(erased=""), INDEX, *PROOF),
    "an erasure that nobody signed": whole(FIRST, extra(erased="avow.erased/v1\n"), INDEX, *PROOF),
    "a head of nothing": whole(FIRST, extra(head=""), INDEX, *PROOF),
    "a claim of many conditions": receipt(claim=" & ".join(["state = captured"] * 200)),
    "a surrogate alone": whole(FIRST, b"extra " + b64encode(rb'{"claim":"\ud800"}'), INDEX, *PROOF),
    "a bottomless list": whole(FIRST, b"extra " + b64encode(b'{"a":' + b"[" * 100_000), INDEX, *PROOF),
    "an integer of many digits": whole(FIRST, b"extra " + b64encode(b'{"a":' + b"9" * 99_999), INDEX, *PROOF),
}
"""What anybody can write who has one good receipt."""


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def timed(time: int) -> bytes:
    """A receipt whose checkpoint the log has signed for a time that there is not."""
    opened = verify(DATA, ALONE).sealed.checkpoint
    return whole(FIRST, EXTRA, INDEX, *PROOF, note=of(opened.size, opened.root, time=time))


WRITTEN = {
    "a tenant that says who stands for it": receipt(tenant="main\nwitnessed by: auditor.example/w1"),
    "a kind that goes back in the line": receipt(kind="Payment\r"),
    "an application that moves the cursor": receipt(app="\x1b[2Ashop"),
    "a time that turns the line around": receipt(at="\u202e2023"),
    "an id with a line of its own": receipt(id="x\u2028y"),
    "a transition with a blank that isn't one": receipt(transition="cap\u00a0ture"),
    "long values that are a number": receipt(changes_sha256=5),
    "long values that are a text": receipt(changes_sha256="amount"),
    "long values that are none": receipt(changes_sha256=None),
    "a version that is true": receipt(ver=True),
    "changes without end": receipt(input=nested(65)),
    "a currency that is a verdict": receipt(
        changes={"amount": {"amount": "25.00", "currency": "EUR\nVALID\n"}}
    ),
    "an erasure with a line of its own": receipt(
        changes={"x\nVALID": {"private": "d"}}, claim="state = captured", gone=((4, ("x\nVALID",)),)
    ),
    "an erasure that clears the screen": receipt(
        changes={"\x7f": {"private": "d"}}, claim="state = captured", gone=((4, ("\x7f",)),)
    ),
    "an erasure of an input that is none": receipt(input=[["phone"]], gone=((4, ("phone",)),)),
    "a time that no calendar has": timed(253_402_300_800),
    "a time before which nothing was": timed(2**64 - 1),
}
"""What only the log's own operator can write: it is sealed and signed."""
EVERY = {**FORMS, **WRITTEN}


def refused(data: bytes, policy: Policy = ALONE) -> str:
    """Why a receipt is INVALID."""
    with pytest.raises(Invalid) as why:
        verify(data, policy)
    return str(why.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_hostile_receipt_is_invalid_and_the_reason_is_one_line(name: str) -> None:
    for policy in (ALONE, WITNESSED, believing([LOG.verifier, NEXT.verifier])):
        assert refused(EVERY[name], policy).isprintable()


def test_a_hostile_receipt_is_an_exit_code_at_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(LOG.verifier.text)
    for name, data in EVERY.items():
        (tmp_path / "receipt").write_bytes(data)
        for command in (
            lambda *given: run(["receipt", "verify", *given]),
            lambda *given: run(["receipt", "verify", "--json", *given]),
            lambda *given: verifier([*given]),
        ):
            code, out, err = told(command, str(tmp_path / "receipt"), "--key", str(tmp_path / "key"))
            assert (code, err) == (1, ""), name
            assert out.startswith(("INVALID: ", '{"valid": false, "reason": "'))
            assert out.count("\n") == 1


def test_a_key_or_policy_that_is_none_is_a_wrong_command_line(tmp_path: Path) -> None:
    (tmp_path / "receipt").write_bytes(DATA)
    rest = ["--policy", str(tmp_path / "given")]
    for data in [b"", b"\0", b"\xff", b"quorum none", *EVERY.values()]:
        (tmp_path / "given").write_bytes(data)
        for option in ("--key", "--policy"):
            code, _, err = told(
                lambda *g: run(["receipt", "verify", *g]), str(tmp_path / "receipt"), option, rest[1]
            )
            assert (code, "error[usage]" in err) == (2, True)
            with pytest.raises(SystemExit) as ended, redirect_stderr(StringIO()):
                verifier([str(tmp_path / "receipt"), option, rest[1]])
            assert ended.value.code == 2


def told(command: Callable[..., int], *arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command(*arguments)
    return code, out.getvalue(), err.getvalue()


def test_a_terminal_that_cannot_show_all_is_told_as_well(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(LOG.verifier.text)
    (tmp_path / "receipt").write_bytes(receipt(claim='place.city = "Łódź"'))
    for module, *words in (["avow.evidence.verifier"], ["avow.cli", "receipt", "verify"]):
        done = subprocess.run(
            [sys.executable, "-m", module, *words, tmp_path / "receipt", "--key", tmp_path / "key"],
            capture_output=True, check=False, timeout=60, env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(rb"VALID" + b"\n" + rb'place.city = "\u0141\xf3d\u017a"')


def test_what_strangers_sign_beside_the_log_changes_nothing() -> None:
    """Keys that nobody knows, under any name that signed-note permits, also that of the log; in any order."""
    stranger = Signer("stranger.example", SecretKey(bytes(range(64, 96))))
    text = NOTE.partition(b"\n\n")[0].decode() + "\n"
    said = verify(DATA, ALONE).statement
    names = ["stranger.example", LOG.name, "ünïcode.example", "a/b?c=d&e", "日本", "\U0001f511"]
    lines = [signer.sign(text) for name in names for signer in [stranger._replace(name=name)]]
    lines += [stranger.cosign(text, SEALED), WITNESS.cosign(text, SEALED)]
    own = NOTE.partition(b"\n\n")[2]
    for note in ("".join(lines).encode() + own, own + "".join(lines).encode()):
        assert (
            verify(whole(FIRST, EXTRA, INDEX, *PROOF, note=text.encode() + b"\n" + note), ALONE).statement
            == said
        )
    for name in ("", "two words", "a+b", "a\u00a0b", "tab\tbed"):
        line = stranger.sign(text).replace("stranger.example", name).encode()
        refused(DATA + line)


def test_a_witness_that_signed_another_checkpoint_or_time_does_not_count() -> None:
    text = text_of(verify(DATA, ALONE).sealed.checkpoint)
    line = WITNESS.cosign(text, SEALED)
    for wrong in (
        WITNESS.cosign(text.replace("\n13\n", "\n14\n"), SEALED),
        WITNESS.cosign(text, 2**64 - 1),
        Signer(WITNESS.name, LOG.key).cosign(text, SEALED),
        WITNESS.sign(text),
        line.replace(WITNESS.name, "auditor.example/w2"),
    ):
        refused(DATA + wrong.encode(), WITNESSED)
    assert verify(DATA + line.encode(), WITNESSED).statement.endswith("w1 at 2023-11-14T22:13:20Z\n")


def test_a_policy_of_as_many_groups_as_there_may_be_is_read() -> None:
    """Each made of the one before it: whoever writes such a policy gets an answer."""
    lines = [f"log {LOG.verifier.text}", f"witness g0 {WITNESS.cosigner.text}"]
    lines += [f"group g{number} any g{number - 1}" for number in range(1, 997)]
    policy = parse_policy("\n".join([*lines, "quorum g996\n"]))
    assert refused(DATA, policy).startswith("the witnesses that the policy asks for")
    verify(receipt(witnessed=True), policy)


def test_a_receipt_damaged_by_chance_says_the_same_or_nothing() -> None:
    """Pieces cut out, doubled, swapped with pieces of other receipts, and bytes that were never there."""
    good = [DATA, receipt(witnessed=True, newest=9, gone=GONE), receipt(ver=8), receipt(claim="count >= 3")]
    said = {verify(data, ALONE).statement for data in good}
    told = [answer(data) for data in damaged(Random(7), [*good, *WRITTEN.values()], MUTATIONS)]
    assert {statement for statement, _ in told if statement} <= said
    assert all(reason.isprintable() for _, reason in told)
    assert sum(bool(reason) for _, reason in told) > MUTATIONS // 2


def answer(data: bytes) -> tuple[str, str]:
    """What a receipt shows, or why it is INVALID."""
    try:
        return verify(data, ALONE).statement, ""
    except Invalid as why:
        return "", str(why)


def damaged(chance: Random, donors: list[bytes], count: int) -> Iterator[bytes]:
    for _ in range(count):
        data = chance.choice(donors[:3])
        for _ in range(chance.randint(1, 3)):
            other = chance.choice(donors)
            if chance.random() < 0.5:  # whole lines
                mine, theirs = data.split(b"\n"), other.split(b"\n")
                at = chance.randrange(len(mine))
                mine[at : at + chance.randint(0, 2)] = chance.choices(theirs, k=chance.randint(0, 2))
                data = b"\n".join(mine)
            else:
                start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
                piece = chance.choice(
                    [b"", b"\0", b"\n", chance.randbytes(3), other[start:end], data[start:end] * 2]
                )
                data = data[:start] + piece + data[end if chance.random() < 0.5 else start :]
        yield data
