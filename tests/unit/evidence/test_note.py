"""Signed notes and checkpoints: the published examples, and what isn't one."""

from __future__ import annotations

import pytest

from avow.evidence.checkpoint import open_checkpoint, sign, text_of
from avow.evidence.note import SecretKey, Signer, join, read_secret, write_secret
from avow.evidence.verifier import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Invalid,
    VerifierKey,
    check_note,
    parse_checkpoint,
    parse_key,
    parse_note,
)

# golang.org/x/mod/sumdb/note: note_test.go, whose format signed-note describes.
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
BY_PETER = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR"
    "Zb6KE6RyyBwJnAM=\n"
)
BY_ENOCH = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)
# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (  # the fifth: the message is the SHA-512 of "abc"
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
            "3dca179c138ac17ad9bef1177331a704"
        ),
    ),
]
# A tree head that a public log has signed (sum.golang.org), and its key, as transparency-dev/formats has
# them in log/checkpoint_test.go.
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
TREE = (
    "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n"
    "— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3Ge"
    "oWwOoAw=\n"
)
# The example of c2sp.org/signed-note, whose key isn't published.
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU"
    "0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
LOG = Signer("log.example/one", SecretKey(bytes(range(32))))
WITNESS = Signer("witness.example/w1", SecretKey(bytes(range(32, 64))))
HEAD = Checkpoint("log.example/one", 20852163, bytes(range(32)))
SEALED = 1_700_000_000


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_a_secret_key_signs_as_rfc_8032_says(seed: str, public: str, message: str, signature: str) -> None:
    key = SecretKey(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature


def test_a_published_note_is_signed_and_opened() -> None:
    signer = read_secret(PETER_SECRET)
    assert join(TEXT, signer.sign(TEXT)) == f"{TEXT}\n{BY_PETER}"
    assert (signer.verifier.text, parse_key(PETER)) == (PETER, signer.verifier)
    both = parse_note(f"{TEXT}\n{BY_PETER}{BY_ENOCH}".encode())
    assert both.text == TEXT
    assert [s.key.name for s in check_note(both, [parse_key(PETER), parse_key(ENOCH)])] == [
        "PeterNeumann",
        "EnochRoot",
    ]
    assert [s.key.name for s in check_note(both, [parse_key(ENOCH)])] == ["EnochRoot"]
    assert check_note(both, []) == []


def test_a_secret_key_is_read_as_it_was_written_and_any_other_text_is_none() -> None:
    seed = bytes(range(32))
    assert read_secret(write_secret("log.example", seed) + "\n").verifier.name == "log.example"
    data = PETER_SECRET.encode()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] += 1
        with pytest.raises(ValueError, match=r"^not a secret key|^the secret key") as error:
            read_secret(changed.decode())
        assert PETER_SECRET[-20:] not in str(error.value)


def test_a_verifier_key_that_was_mangled_is_none() -> None:
    data = PETER.encode()
    for begin in range(len(data)):
        for end in range(begin + 1, len(data) + 1):
            if (begin, end) != (0, len(data)):
                with pytest.raises(Invalid):
                    parse_key(data[begin:end].decode())
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] += 1
        with pytest.raises(Invalid):
            parse_key(changed.decode())
    for other in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ]:
        with pytest.raises(Invalid):
            parse_key(other)


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{BY_PETER[:-1]}",
        f"\x01{TEXT}\n{BY_PETER}",
        f"{TEXT}\n— Bad Name {BY_PETER.split()[2]}\n",
        f"{TEXT}\n{BY_PETER}Unexpected line.\n",
        f"{TEXT}\n{BY_PETER}\n",
        f"{TEXT}\n{BY_PETER.replace('— ', '- ')}",
        f"{TEXT}\n— PeterNeumann AAAA\n",
        f"{TEXT}\n{BY_PETER.replace('nAM=', 'nAN=')}",
        f"{TEXT}\n{BY_PETER * 101}",
        f"{'x' * 1_000_000}\n\n{BY_PETER}",
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(Invalid):
        check_note(parse_note(note.encode()), [parse_key(PETER)])


def test_a_note_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Invalid, match="UTF-8"):
        parse_note(b"\xff" + f"{TEXT}\n{BY_PETER}".encode())


def test_a_wrong_signature_of_a_known_key_refuses_the_note_also_beside_a_right_one() -> None:
    wrong = BY_PETER.replace("x08go/Z", "x08go/a")
    for lines in (wrong, BY_PETER + wrong, BY_ENOCH + wrong):
        with pytest.raises(Invalid, match="isn't by the key of PeterNeumann"):
            check_note(parse_note(f"{TEXT}\n{lines}".encode()), [parse_key(PETER), parse_key(ENOCH)])


def test_a_key_that_signs_twice_counts_once() -> None:
    note = parse_note(f"{TEXT}\n{BY_PETER}{BY_PETER}{BY_ENOCH}".encode())
    assert len(check_note(note, [parse_key(PETER)])) == 1


def test_a_tree_head_of_a_public_log_is_believed() -> None:
    note, key = parse_note(TREE.encode()), parse_key(SUMDB)
    assert [one.key for one in check_note(note, [key])] == [key]
    head = parse_checkpoint(note.text)
    assert (head.origin, head.size, text_of(head)) == ("go.sum database tree", 6476701, note.text)
    for changed in (TREE.replace("6476701", "6476702"), TREE.replace("tree\n", "tree \n")):
        with pytest.raises(Invalid, match=r"isn't by the key of sum\.golang\.org"):
            check_note(parse_note(changed.encode()), [key])
    with pytest.raises(
        Invalid, match="isn't signed by"
    ):  # its origin isn't the name of its key: no log of ours
        open_checkpoint(TREE.encode(), key)


def test_the_text_of_a_note_may_have_empty_lines() -> None:
    note = parse_note(POEM.encode())
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert [(name, len(data)) for name, data in note.signatures] == [("quasimodo.example/salvatore", 68)]


@pytest.mark.parametrize("count", [16, 100])
def test_a_note_may_have_as_many_signatures_of_strangers_as_the_standard_asks_for(count: int) -> None:
    note = parse_note(f"{TEXT}\n{BY_ENOCH * (count - 1)}{BY_PETER}".encode())
    assert [one.key.name for one in check_note(note, [parse_key(PETER)])] == ["PeterNeumann"]


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\u00a0b", "a\tb", "a\nb"])
def test_a_key_has_a_name_without_blanks_and_pluses(name: str) -> None:
    line = f"— {name} {BY_PETER.split()[2]}\n"
    with pytest.raises(Invalid):
        parse_note(f"{TEXT}\n{line}".encode())
    with pytest.raises(Invalid):
        parse_key(VerifierKey(name, ED25519, bytes(32)).text)


def test_a_published_checkpoint_is_read() -> None:
    """c2sp.org/tlog-checkpoint, the example; its key isn't published."""
    note = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q"
        "1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2"
        "oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    parsed = parse_note(note.encode())
    head = parse_checkpoint(parsed.text)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert text_of(head) == parsed.text
    [(_, by_log), (name, by_witness)] = parsed.signatures
    assert (len(by_log), name, len(by_witness)) == (4 + 64, "witness.example.com/w1", 4 + 8 + 64)
    assert int.from_bytes(by_witness[4:12], "big") == 1679315147  # the time that tlog-cosignature shows


def test_a_checkpoint_says_who_sealed_it_when_and_who_else_stands_for_it() -> None:
    note = sign(HEAD, LOG, SEALED)
    alone = open_checkpoint(note.encode(), LOG.verifier)
    assert (alone.checkpoint, alone.time, alone.witnesses) == (HEAD, SEALED, ())
    witnessed = note + WITNESS.cosign(text_of(HEAD), SEALED + 3)
    assert open_checkpoint(witnessed.encode(), LOG.verifier).witnesses == ()
    [one] = open_checkpoint(witnessed.encode(), LOG.verifier, [WITNESS.cosigner]).witnesses
    assert (one.key, one.time) == (WITNESS.cosigner, SEALED + 3)


def test_any_byte_of_a_checkpoint_counts() -> None:
    note = (sign(HEAD, LOG, SEALED) + WITNESS.cosign(text_of(HEAD), SEALED + 3)).encode()
    for place in range(len(note)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(note)
            changed[place] ^= bit
            try:
                opened = open_checkpoint(bytes(changed), LOG.verifier, [WITNESS.cosigner])
            except Invalid:
                continue
            # The name or id of the witness: another key, unknown, whose signature is passed over.
            assert opened.witnesses == ()
            assert place > note.rindex("—".encode())


@pytest.mark.parametrize(
    "text",
    [
        "log.example/one\n7\n",
        "log.example/one\n07\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n-7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n9223372036854775808\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n٧\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n7\nAAEC\n",
        "log.example/one\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\nextension\n",
        "log.example/one\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nextension",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_checkpoint(text)


def test_extension_lines_are_signed_and_say_nothing() -> None:
    """c2sp.org/tlog-checkpoint permits them, and tlog-cosignature signs them with the rest."""
    text = text_of(HEAD) + "one\nanother line\n"
    note = join(text, LOG.sign(text), LOG.cosign(text, SEALED), WITNESS.cosign(text, SEALED + 1))
    opened = open_checkpoint(note.encode(), LOG.verifier, [WITNESS.cosigner])
    assert (opened.checkpoint, [one.key for one in opened.witnesses]) == (HEAD, [WITNESS.cosigner])
    with pytest.raises(Invalid, match="isn't by the key"):
        open_checkpoint(note.replace("another", "changed").encode(), LOG.verifier)


def test_a_checkpoint_of_another_log_or_without_a_time_is_refused() -> None:
    text = text_of(HEAD)
    other = Signer("log.example/two", LOG.key)
    with pytest.raises(ValueError, match="doesn't sign for"):
        sign(HEAD, other, SEALED)
    for lines, why in [
        ((other.sign(text), other.cosign(text, SEALED)), "isn't signed by"),
        ((LOG.sign(text),), "doesn't say when"),
        ((LOG.cosign(text, SEALED),), "isn't signed by"),
    ]:
        with pytest.raises(Invalid, match=why):
            open_checkpoint(join(text, *lines).encode(), LOG.verifier)
    assert VerifierKey("a", ED25519, LOG.key.public).id != VerifierKey("a", COSIGNATURE, LOG.key.public).id
