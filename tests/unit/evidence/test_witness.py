"""A witness signs what goes on from what it signed before, and nothing else (c2sp.org/tlog-witness)."""

from __future__ import annotations

import pytest

from avow.canonical import leaf_hash
from avow.evidence.checkpoint import sign, text_of
from avow.evidence.merkle import Node, Stack, consistency_ranges, proof
from avow.evidence.note import join
from avow.evidence.verifier import EMPTY_ROOT, Checkpoint, Invalid
from avow.evidence.witness import (
    Refused,
    Seen,
    Submission,
    judge,
    parse_submission,
    parse_witnesses,
    write_submission,
)
from tests.unit.evidence.receipts import LOG, SEALED, WITNESS

LEAVES = [leaf_hash(bytes([number])) for number in range(20)]


def checkpoint(size: int, fork: bytes = b"") -> Checkpoint:
    """The log at a size; a fork has another first leaf."""
    stack = Stack()
    for leaf in [leaf_hash(fork) if fork else LEAVES[0], *LEAVES[1:]][:size]:
        stack.append(leaf)
    return Checkpoint(LOG.name, size, stack.root)


def submission(old: int, size: int, fork: bytes = b"", signer: object = LOG) -> bytes:
    stack, hashes = Stack(), {Node(0, place): leaf for place, leaf in enumerate(LEAVES)}
    for leaf in LEAVES:
        hashes.update(stack.append(leaf))
    path = proof(consistency_ranges(old, size), hashes) if old <= size else []
    note = sign(checkpoint(size, fork), signer, SEALED)  # type: ignore[arg-type]
    return write_submission(Submission(old, path, note.encode()))


def seen(size: int) -> dict[str, Seen]:
    return {LOG.name: Seen(size, checkpoint(size).root)} if size else {}


@pytest.mark.parametrize(("old", "size"), [(0, 1), (0, 13), (7, 13), (8, 13), (13, 13), (12, 20)])
def test_it_signs_what_goes_on_from_what_it_signed(old: int, size: int) -> None:
    text, found = judge(submission(old, size), [LOG.verifier], seen(old))
    assert (text, found) == (text_of(checkpoint(size)), checkpoint(size))


def test_it_signs_extension_lines_with_the_rest() -> None:
    """Another log's checkpoint may have some; no opinion of them is meant (c2sp.org/tlog-cosignature)."""
    text = text_of(checkpoint(13)) + "of another log\n"
    body = write_submission(Submission(0, [], join(text, LOG.sign(text)).encode()))
    assert judge(body, [LOG.verifier], {}) == (text, checkpoint(13))


@pytest.mark.parametrize(
    ("body", "last", "status", "size"),
    [
        (submission(7, 13), 8, 409, 8),  # not what it signed last
        (submission(0, 13), 8, 409, 8),  # who doesn't know asks like this
        (submission(7, 13), 0, 409, 0),  # it signed nothing yet
        (submission(8, 7), 8, 400, None),  # a rollback
        (submission(7, 13, fork=b"f"), 7, 422, None),  # a fork
        (submission(13, 13, fork=b"f"), 13, 409, 13),  # two roots of one size
        (submission(7, 13).replace(b"\n\n", b"\nAAAA\n\n", 1), 7, 400, None),
        (b"old 07\n\n", 7, 400, None),
        (b"", 0, 400, None),
    ],
)
def test_it_refuses_forks_rollbacks_and_what_it_cannot_read(
    body: bytes, last: int, status: int, size: int | None
) -> None:
    with pytest.raises(Refused) as refused:
        judge(body, [LOG.verifier], seen(last))
    assert (refused.value.status, refused.value.size) == (status, size)


PUBLISHED = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa \
opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""
"""The example of c2sp.org/tlog-witness; its keys aren't published."""


def test_the_published_submission_is_read_and_written_as_it_stands() -> None:
    found = parse_submission(PUBLISHED.encode())
    assert (found.old_size, len(found.proof)) == (20852014, 4)
    assert write_submission(found).decode() == PUBLISHED
    with pytest.raises(Refused) as refused:
        judge(PUBLISHED.encode(), [LOG.verifier._replace(name="example.com/behind-the-sofa")], {})
    assert refused.value.status == 403  # both signatures are of keys that nobody here knows


def test_a_log_of_nothing_has_one_root() -> None:
    empty = Checkpoint(LOG.name, 0, EMPTY_ROOT)
    for root, status in [(EMPTY_ROOT, None), (bytes(32), 422)]:
        note = sign(empty._replace(root=root), LOG, SEALED).encode()
        body = write_submission(Submission(0, [], note))
        if status is None:
            assert judge(body, [LOG.verifier], {})[1] == empty
        else:
            with pytest.raises(Refused) as refused:
                judge(body, [LOG.verifier], {})
            assert refused.value.status == status


def test_it_signs_for_no_log_that_it_does_not_know() -> None:
    with pytest.raises(Refused) as unknown:
        judge(submission(0, 13), [WITNESS.verifier], {})
    other = LOG.verifier._replace(public=WITNESS.key.public)
    with pytest.raises(Refused) as unsigned:
        judge(submission(0, 13), [other], {})
    forged = submission(0, 13).replace(b"\n13\n", b"\n14\n")
    with pytest.raises(Refused) as broken:
        judge(forged, [LOG.verifier], {})
    assert [r.value.status for r in (unknown, unsigned, broken)] == [404, 403, 403]


def test_a_proof_of_any_other_form_is_no_submission() -> None:
    line = b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    assert parse_submission(b"old 1\n" + line * 63 + b"\nnote").note == b"note"
    for body in [
        b"old 1\n" + line * 64 + b"\nnote",
        b"new 1\n\nnote",
        b"old 1\n" + line[4:] + b"\nnote",
        b"\xff\n\n",
    ]:
        with pytest.raises(Invalid):
            parse_submission(body)


def test_only_a_witness_with_an_address_is_asked() -> None:
    key = WITNESS.cosigner.text
    policy, asked = parse_witnesses(f"# ours\nwitness w {key} https://w.example/a\nquorum w\n")
    assert [(witness.key, witness.url) for witness in asked] == [(WITNESS.cosigner, "https://w.example/a")]
    assert policy.quorum == "w"
    assert parse_witnesses(f"witness w {key}\nquorum none\n")[1] == ()
