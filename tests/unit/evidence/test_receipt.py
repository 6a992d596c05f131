"""A receipt shows what happened, and any byte of it that is changed makes it show nothing."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

import pytest

from avow.canonical import decode, encode
from avow.evidence.verifier import Invalid, believing, parse_policy, parse_receipt, verify
from tests.unit.evidence.receipts import ALONE, CLAIM, ENTRY, GONE, LOG, WITNESS, WITNESSED, receipt


def test_a_receipt_says_what_happened_and_no_more() -> None:
    assert verify(receipt(), ALONE).statement == (
        "state = captured & amount >= 25.00 EUR\n"
        "Payment 018f0000-0000-7000-8000-000000000042 of shop, tenant main\n"
        "happened at version 7, sealed at 2023-11-14T22:13:20Z; later versions may exist\n"
        "decided at 2023-11-14T22:13:19.500000Z, by the transition capture\n"
        "leaf 6 of shop.example/log, proved at size 13\n"
        "witnessed by: nobody\n"
    )


def test_a_witness_is_named_where_its_key_is_known_and_nobody_is_where_it_is_not() -> None:
    data = receipt(witnessed=True)
    said = "witnessed by: auditor.example/w1 at 2023-11-14T22:13:23Z\n"
    assert said in verify(data, WITNESSED).statement
    assert "witnessed by: nobody\n" in verify(data, ALONE).statement
    with pytest.raises(Invalid, match="witnesses that the policy asks for"):
        verify(receipt(), WITNESSED)


@pytest.mark.parametrize("newest", [7, 9])
def test_the_newest_version_is_the_word_of_the_log(newest: int) -> None:
    verdict = verify(receipt(newest=newest), ALONE)
    assert verdict.statement.endswith(f"newest at size 13, as the log says: version {newest}\n")


def test_a_newest_version_before_the_proved_one_is_a_contradiction() -> None:
    with pytest.raises(Invalid, match="contradicts"):
        verify(receipt(newest=6), ALONE)


@pytest.mark.parametrize("bits", [0x01, 0x20])
@pytest.mark.parametrize("kind", ["alone", "witnessed", "newest", "erased"])
def test_any_byte_changed_shows_nothing(kind: str, bits: int) -> None:
    """Each byte of the file, so each of claim, header, proof and signatures."""
    data, policy = receipt(), ALONE
    if kind == "witnessed":
        data, policy = receipt(witnessed=True), WITNESSED
    elif kind == "newest":
        data = receipt(newest=9)
    elif kind == "erased":
        data = receipt(gone=GONE)
    verify(data, policy)
    believed = [place for place in range(len(data)) if _believed(data, place, bits, policy)]
    assert believed == []


def test_any_other_byte_in_a_claim_shows_nothing_even_where_it_makes_another_true_claim() -> None:
    data = receipt(claim="count >= 3")
    extra = data.split(b"\n")[1].removeprefix(b"extra ")
    held = decode(b64decode(extra))
    for claim in ["count >= 2", "count >= 1", "count > 2", "count <= 3", "count = 3", "count >= 3 "]:
        changed = data.replace(extra, b64encode(encode({**held, "claim": claim})))
        with pytest.raises(Invalid, match="the claim was damaged"):
            verify(changed, ALONE)


def test_any_byte_removed_or_doubled_shows_nothing() -> None:
    data = receipt(witnessed=True, newest=9, gone=GONE)
    for place in range(len(data)):
        for changed in (data[:place] + data[place + 1 :], data[: place + 1] + data[place:]):
            if changed == data:
                continue
            with pytest.raises(Invalid):
                verify(changed, WITNESSED)


def test_what_only_looks_like_a_receipt_shows_nothing() -> None:
    data = receipt()
    proof = re.findall(rb"(?<=\n)[A-Za-z0-9+/]{43}=", data.partition(b"\n\n")[0])
    assert len(proof) == 4
    for changed, why in [
        (b"", "too few lines"),
        (data.replace(b"@v1", b"@v2"), "not a receipt"),
        (data.replace(b"\nindex 6\n", b"\nindex 06\n"), "not a number"),
        (data.replace(b"\nindex 6\n", b"\nindex 13\n"), "no such leaf"),
        (data.replace(proof[0], proof[1], 1), "lead to the root"),
        (data.replace(proof[3] + b"\n", b""), "lead to the root"),
        (
            data.replace(proof[0] + b"\n", proof[0] + b"\n" + b"\n".join([proof[0]] * 60) + b"\n"),
            "not a receipt",
        ),
        (data.replace(b"\n\n", b"\n\n\n"), "not a checkpoint"),
        (data + b"x" * 1_000_000, "at most"),
        (b"\xff" + data, "isn't ASCII"),
    ]:
        with pytest.raises(Invalid, match=why):
            verify(changed, ALONE)


PUBLISHED = """c2sp.org/tlog-proof@v1
extra {extra}
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
"""
"""The example of c2sp.org/tlog-proof, whose signatures are cut short there, around an extra of ours."""


def test_the_published_form_is_that_of_a_receipt() -> None:
    ours = receipt().split(b"\n")[1].removeprefix(b"extra ").decode()
    found = parse_receipt(PUBLISHED.format(extra=ours).encode())
    assert (found.index, len(found.proof), found.claim) == (73894, 5, CLAIM)
    assert found.note.startswith(b"example.com/fancylog\n109482\n")
    with pytest.raises(Invalid, match="not JSON"):  # the opaque extra of the example is none of ours
        parse_receipt(PUBLISHED.format(extra="YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ").encode())


def test_a_receipt_of_another_log_or_key_shows_nothing() -> None:
    data = receipt()
    with pytest.raises(Invalid, match="whose key you don't have"):
        verify(data, believing([WITNESS.verifier]))
    another = LOG.verifier._replace(public=WITNESS.key.public)
    with pytest.raises(Invalid, match="isn't signed by"):
        verify(data, believing([another]))
    assert verify(data, believing([another, LOG.verifier])).claim == CLAIM
    assert verify(data, believing([LOG.verifier, another])).claim == CLAIM


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("state = refunded", "the claim is false: version 7"),
        ("letter = a", "only the hash of letter"),
        ("weight = 3", "didn't set weight"),
        ("state == captured", "isn't written as claims are"),
        ("", "not a condition"),
    ],
)
def test_a_claim_that_the_entry_does_not_make_true_shows_nothing(claim: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        verify(receipt(claim=claim), ALONE)


@pytest.mark.parametrize("changes", [{"v": 2}, {"ver": "7"}, {"ver": True}, {"to": None}, {"changes": []}])
def test_a_leaf_that_is_no_entry_shows_nothing(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="isn't an audit entry"):
        verify(receipt(**changes), ALONE)


def test_the_head_of_another_record_checkpoint_or_log_shows_nothing() -> None:
    data = receipt(newest=9)
    other = receipt(newest=9, id="018f0000-0000-7000-8000-000000000043")
    with pytest.raises(Invalid, match="of another record"):
        verify(other, ALONE)
    assert ENTRY["id"] != "018f0000-0000-7000-8000-000000000043"
    held = decode(b64decode(data.split(b"\n")[1].removeprefix(b"extra ")))
    for text, why in [
        (held["head"].replace("size 13", "size 12"), "isn't by the key"),
        (held["head"].split("\n\n")[0], "no signature"),
        (held["head"].replace("avow.head/v1", "avow.head/v2"), "didn't say"),
        (held["head"].replace("\nversion 9", ""), "can't be read"),
    ]:
        changed = data.replace(data.split(b"\n")[1], b"extra " + b64encode(encode({**held, "head": text})))
        with pytest.raises(Invalid, match=why):
            verify(changed, ALONE)


def test_a_policy_says_which_line_is_wrong() -> None:
    key, witness = LOG.verifier.text, WITNESS.cosigner.text
    for text, why in [
        (f"log {key}\n", "no quorum line"),
        (f"log {key}\nlog {key}\nquorum none\n", "line 2 .* twice"),
        (f"log {witness}\nquorum none\n", "another kind"),
        (f"witness a {key}\nquorum a\n", "another kind"),
        (f"witness none {witness}\nquorum none\n", "none is taken"),
        ("quorum a\n", "named before"),
        ("quorum none\nquorum none\n", "a quorum already"),
        (f"witness a {witness}\ngroup g 2 a\nquorum g\n", "can't be reached"),
        (f"witness a {witness}\ngroup g 0 a\nquorum g\n", "or is nothing"),
        (f"witness a {witness}\ngroup g all a\ngroup h any a\nquorum h\n", "in a group already"),
        ("trust everybody\nquorum none\n", "line 1"),
        (f"log {key[:-1]}\nquorum none\n", "line 1"),
        ("quorum none\x0b\n", "lines of text"),
    ]:
        with pytest.raises(Invalid, match=why):
            parse_policy(text)


def test_a_quorum_counts_witnesses_through_groups() -> None:
    """The example of tlog-policy: two of three, and any of three others."""
    keys = {
        name: WITNESS.cosigner._replace(name=name, public=bytes([n] * 32)) for n, name in enumerate("abcdef")
    }
    text = "".join(f"witness {name} {key.text}\n" for name, key in keys.items())
    policy = parse_policy(
        f"# who\n{text}\n group x 2 a b c\n\tgroup y any d e f\ngroup z all x y\nquorum z\n"
    )
    for names, reached in [
        ("ab", False),
        ("abd", True),
        ("ad", False),
        ("def", False),
        ("bcf", True),
        ("", False),
    ]:
        assert policy.reached([keys[name] for name in names]) is reached, names


def _believed(data: bytes, place: int, bits: int, policy: object) -> bool:
    changed = bytearray(data)
    changed[place] ^= bits
    try:
        verify(bytes(changed), policy)  # type: ignore[arg-type]
    except Invalid:
        return False
    return True
