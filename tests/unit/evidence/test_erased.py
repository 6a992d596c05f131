"""A receipt says what the log says was erased of its entry, written in one way, and of no other entry."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest

from avow.canonical import decode, encode, leaf_hash
from avow.evidence.note import join
from avow.evidence.verifier import Invalid, private_names, verify
from avow.evidence.verifier.__main__ import main as verifier
from tests.unit.evidence.receipts import ALONE, ENTRY, GONE, LOG, SIZE, WITNESS, header, receipt

LEAF = b64encode(leaf_hash(encode(ENTRY))).decode()
LINES = [
    "avow.erased/v1",
    f"log {LOG.name}",
    f"size {SIZE}",
    f"leaf {LEAF}",
    "erased 4 email",
    "erased 9 phone",
]


def text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def put(data: bytes, erased: str | None) -> bytes:
    """A receipt with another note in the place of its own."""
    line = data.split(b"\n")[1]
    held = decode(b64decode(line.removeprefix(b"extra ")))
    held = {**held, "erased": erased} if erased is not None else {**held, "erased": None}
    return data.replace(line, b"extra " + b64encode(encode({k: v for k, v in held.items() if v is not None})))


def note_of(data: bytes) -> str:
    return decode(b64decode(data.split(b"\n")[1].removeprefix(b"extra ")))["erased"]


def test_what_was_erased_is_said_as_the_word_of_the_log(tmp_path: Any, capsys: Any) -> None:
    said = "erased at leaf 4, as the log says: email\nerased at leaf 9, as the log says: phone\n"
    assert verify(receipt(gone=GONE), ALONE).statement.endswith(f"witnessed by: nobody\n{said}")
    both = verify(receipt(gone=((0, ("email", "phone")),), newest=9), ALONE).statement
    assert both.endswith("version 9\nerased at leaf 0, as the log says: email, phone\n")
    (tmp_path / "receipt").write_bytes(receipt(gone=GONE))
    (tmp_path / "key").write_text(LOG.verifier.text)
    assert verifier([str(tmp_path / "receipt"), "--key", str(tmp_path / "key")]) == 0
    assert capsys.readouterr().out.endswith(said)


def test_the_note_is_the_one_that_is_documented() -> None:
    assert note_of(receipt(gone=GONE)) == join(text(*LINES), LOG.sign(text(*LINES)))


def changed(place: int, *lines: str) -> str:
    return text(*LINES[:place], *lines, *LINES[place + 1 :])


REFUSED = {
    "another format": (changed(0, "avow.erased/v2"), "didn't say"),
    "nothing erased": (text(*LINES[:4]), "didn't say"),
    "another log": (changed(1, "log shop.example/log/2"), "another checkpoint"),
    "another size": (changed(2, "size 12"), "another checkpoint"),
    "a larger size": (changed(2, "size 14"), "another checkpoint"),
    "another entry": (changed(3, f"leaf {b64encode(bytes(32)).decode()}"), "another entry"),
    "a leaf that is none": (changed(3, "leaf AAAA"), "not a hash"),
    "an entry beyond the log": (changed(5, "erased 13 phone"), "no entry of the log at this size"),
    "an entry before all": (changed(4, "erased -1 email"), "not a number"),
    "leaves the wrong way round": (text(*LINES[:4], LINES[5], LINES[4]), "isn't in its order"),
    "one leaf in two lines": (changed(5, "erased 4 phone"), "isn't in its order"),
    "names the wrong way round": (text(*LINES[:4], "erased 4 phone email"), "isn't in its order"),
    "a name twice in a line": (text(*LINES[:4], "erased 4 email email"), "isn't in its order"),
    "a name twice": (changed(5, "erased 9 email"), "erased twice"),
    "a value that isn't private": (changed(4, "erased 4 count"), "no private value"),
    "a value that isn't there": (changed(4, "erased 4 passport"), "no private value"),
    "no value": (changed(4, "erased 4"), "isn't written as it is"),
    "an empty name": (changed(4, "erased 4 "), "no private value"),
    "two blanks": (changed(4, "erased 4  email"), "no private value"),
    "a zero before a number": (changed(4, "erased 04 email"), "not a number"),
    "a line more": (text(*LINES, "witnessed by: everybody"), "no line that begins with erased"),
    "an empty line": (text(*LINES[:4], "", *LINES[4:]), "no line that begins with erased"),
    "a line's end less": (text(*LINES)[:-1], "isn't written as it is|no signature"),
    "an order of its own": (text(LINES[0], LINES[2], LINES[1], *LINES[3:]), "no line that begins"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_log_signs_is_invalid_where_it_cannot_be_so(name: str) -> None:
    said, why = REFUSED[name]
    with pytest.raises(Invalid, match=why):
        verify(receipt(said=said), ALONE)


def test_a_note_that_the_log_did_not_sign_is_invalid() -> None:
    data, said = receipt(gone=GONE), text(*LINES)
    own = note_of(data)
    for note, why in [
        (join(said, WITNESS.sign(said)), "didn't say"),
        (join(said, WITNESS._replace(name=LOG.name).sign(said)), "didn't say"),
        (join(said, LOG.cosign(said, 1_700_000_000)), "didn't say"),
        (own.replace("erased 4 email", "erased 5 email"), "isn't by the key"),
        (own.replace("erased 9 phone\n", ""), "isn't by the key"),
        (own.partition("\n\n")[0], "no signature"),
        (own[:-5], "cut off"),
        (own + own, "isn't by the key"),
        (own.replace("\n", "\r\n"), "control character"),
    ]:
        with pytest.raises(Invalid, match=why):
            verify(put(data, note), ALONE)


def test_a_note_of_another_receipt_says_nothing_here() -> None:
    """Of another entry of the same log at the same size; taken away, the receipt is as before."""
    other = note_of(receipt(gone=GONE, ver=8))
    with pytest.raises(Invalid, match="of another entry"):
        verify(put(receipt(gone=GONE), other), ALONE)
    assert put(receipt(gone=GONE), None) == receipt()
    assert verify(receipt(), ALONE).erased is None


def test_the_notes_of_head_and_erased_do_not_stand_for_each_other() -> None:
    held = decode(b64decode(receipt(newest=9).split(b"\n")[1].removeprefix(b"extra ")))
    with pytest.raises(Invalid, match="didn't say what was erased"):
        verify(put(receipt(), held["head"]), ALONE)


def test_private_are_the_values_that_are_digests_and_nothing_else() -> None:
    assert private_names(header()) == {"email", "phone"}
    digests = {"a": {"private": "d"}, "b": {"private": 5}, "c": {"private": "d", "e": 1}, "d": ["private"]}
    assert private_names({"changes": digests, "input": None}) == {"a"}
