"""What private values are encrypted with, and where the keys of keys are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from avow.engine.privacy import FileKeyring, conceal
from avow.engine.privacy.cipher import NONCE_BYTES, Encrypted, Unreadable, decrypt, encrypt, new_key
from avow.engine.privacy.vault import blind
from avow.errors import EnvironmentFault
from avow.model.draft import BodyFault
from avow.model.private import Cleartext, Private, PrivateType
from avow.model.types import Misfit, Text

# Test cases 13 to 16 of the GCM specification (McGrew and Viega, "The Galois/Counter Mode of Operation", in
# appendix B, as submitted to NIST), those for 256-bit keys and 96-bit nonces: key, nonce, plaintext, context,
# ciphertext and tag.
_KEY = "feffe9928665731c6d6a8f9467308308" * 2
_NONCE = "cafebabefacedbaddecaf888"
_TEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
_CIPHERTEXT = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
)
# The others are of NIST's validation program (CAVP, gcmEncryptExtIV256.rsp and gcmDecrypt256.rsp, each
# Count = 0), for the sizes that are used here: 256-bit keys, 96-bit nonces, 128-bit tags.
VECTORS = {
    "13": ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "14": (
        "00" * 32, "00" * 12, "00" * 16, "",
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ),
    "15": (
        _KEY, _NONCE, f"{_TEXT}1aafd255", "", f"{_CIPHERTEXT}898015adb094dac5d93471bdec1a502270e3cc6c",
    ),
    "16": (
        _KEY, _NONCE, _TEXT, "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        f"{_CIPHERTEXT}76fc6ece0f4e1768cddf8853bb2d551b",
    ),
    "no plaintext": (
        "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223", "d79cf22d504cc793c3fb6c8a", "",
        "b96baa8c1c75a671bfb2d08d06be5f36", "3e5d486aa2e30b22e040b85723a06e76",
    ),
    "a block": (
        "83688deb4af8007f9b713b47cfa6c73e35ea7a3aa4ecdb414dded03bf7a0fd3a", "0b459724904e010a46901cf3",
        "33d893a2114ce06fc15d55e454cf90c3", "794a14ccd178c8ebfd1379dc704c5e208f9d8424",
        "cc66bee423e3fcd4c0865715e95866960fb291bd3dba94a1dfd8b286cfb97ac5",
    ),
    "no context": (
        "82c4f12eeec3b2d3d157b0f992d292b237478d2cecc1d5f161389b97f999057a", "7b40b20f5f397177990ef2d1",
        "982a296ee1cd7086afad976945", "", "ec8e05a0471d6b43a59ca5335f113ddeafc62373cac2f5951bb9165249",
    ),
    "not whole blocks": (
        "24501ad384e473963d476edcfe08205237acfd49b5b8f33857f8114e863fec7f", "9ff18563b978ec281b3f2794",
        "27f348f9cdc0c5bd5e66b1ccb63ad920ff2219d14e8d631b3872265cf117ee86757accb158bd9abb3868fdc0d0b074b5f01b2c",
        "adb5ec720ccf9898500028bf34afccbcaca126ef",
        ("eb7cb754c824e8d96f7c6d9b76c7d26fb874ffbf1d65c6f64a698d839b0b06145dae82057ad55994cf59ad7f67c0fa5e85fab8"
        "bc95c532fecc594c36d1550286a7a3f0"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", VECTORS)
def test_the_published_vectors_are_decrypted(case: str) -> None:
    key, nonce, plaintext, context, ciphertext = map(bytes.fromhex, VECTORS[case])
    assert decrypt(key, Encrypted(nonce, ciphertext), context) == plaintext
    assert AESGCM(key).encrypt(nonce, plaintext, context) == ciphertext


FAILING = [  # of gcmDecrypt256.rsp: key, nonce, context, ciphertext and tag
    (
        "8b37c4b8cf634704920059866ad96c49e9da502c63fca4a3a7a4dcec74cb0610", "cb59344d2b06c4ae57cd0ea4", "",
        "66ab935c93555e786b775637a3d8733acbb564d8afaa99d7ca2e2f92a9",
    ),
    (
        "e9d381a9c413bee66175d5586a189836e5c20f5583535ab4d3f3e612dc21700e", "23e81571da1c7821c681c7ca",
        "6f39c9ae7b8e8a58a95f0dd8ea6a9087cbccdfd6",
        ("a25f3f580306cd5065d22a6b7e9660110af7204bb77d370f7f34bee547feeff7b32a596fce29c9040e68b1589aad48da881990"
        "5b6dcd70eefb0892fab1539298b92a4b"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "nonce", "context", "ciphertext"), FAILING)
def test_what_the_published_vectors_call_a_failure_is_refused(
    key: str, nonce: str, context: str, ciphertext: str
) -> None:
    with pytest.raises(Unreadable):
        decrypt(
            bytes.fromhex(key),
            Encrypted(bytes.fromhex(nonce), bytes.fromhex(ciphertext)),
            bytes.fromhex(context),
        )


@pytest.mark.parametrize("case", VECTORS)
def test_a_published_vector_with_any_bit_changed_is_refused(case: str) -> None:
    key, nonce, _, context, ciphertext = map(bytes.fromhex, VECTORS[case])
    for place in range(len(ciphertext) * 8):
        flipped = bytearray(ciphertext)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(Unreadable):
            decrypt(key, Encrypted(nonce, bytes(flipped)), context)


def test_what_is_encrypted_is_read_in_its_own_place_alone() -> None:
    key = new_key()
    made = encrypt(key, b"X123", b"here")
    assert decrypt(key, made, b"here") == b"X123"
    for other_key, context in ((new_key(), b"here"), (key, b"there")):
        with pytest.raises(Unreadable):
            decrypt(other_key, made, context)


def test_no_two_values_are_encrypted_with_one_nonce() -> None:
    key = new_key()
    made = {encrypt(key, b"X123", b"").nonce for _ in range(1_000)}
    assert len(made) == 1_000
    assert {len(nonce) for nonce in made} == {NONCE_BYTES}


def test_what_is_given_goes_on_as_a_digest_that_says_nothing() -> None:
    kind = PrivateType(Text(), "passport", "person")
    values, given = conceal({"passport": kind}, {"passport": kind.parse("X123", "#"), "other": 1})
    held = values["passport"]
    assert isinstance(held, Private)
    assert values["other"] == 1
    assert given[held.digest].value == "X123"
    shown = f"{held} {held!r} {given[held.digest]!r} {kind.parse('X123', '#')!r} {kind.dump(held)}"
    assert "X123" not in shown


def test_a_private_value_can_be_neither_compared_nor_taken_for_another() -> None:
    kind = PrivateType(Text(), "passport", "person")
    with pytest.raises(BodyFault):
        _ = Private("digest") == "X123"
    assert Private("digest") == Private("digest") != Private("other")
    for value in ("X123", Cleartext("X123")):
        with pytest.raises(Misfit):
            kind.fit(value, "#")


def test_equal_values_are_found_by_field_and_key_alone() -> None:
    key = new_key()
    assert blind(key, "Patient", "passport", "X") == blind(key, "Patient", "passport", "X")
    others = (
        (new_key(), "Patient", "passport", "X"), (key, "Person", "passport", "X"),
        (key, "Patient", "visa", "X"), (key, "Patient", "passport", "Y"),
    )  # fmt: skip
    assert blind(key, "Patient", "passport", "X") not in {blind(*other) for other in others}


def test_a_file_of_keys_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "below" / "private.keys"
    first, second = FileKeyring.made(file), FileKeyring.made(file)
    assert first.current == second.current
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*file.parent.iterdir()] == [file]


def test_a_key_is_unwrapped_in_its_own_place_alone(tmp_path: Path) -> None:
    ring, key = FileKeyring.made(tmp_path / "keys"), new_key()
    name, wrapped = ring.wrap(key, b"pat")
    assert ring.unwrap(name, wrapped, b"pat") == key
    with pytest.raises(EnvironmentFault, match="can't be decrypted"):
        ring.unwrap(name, wrapped, b"pia")
    with pytest.raises(EnvironmentFault, match="has no key"):
        ring.unwrap("other", wrapped, b"pat")


def test_a_keyring_follows_a_rotation_that_another_process_has_made(tmp_path: Path) -> None:
    ours, theirs = FileKeyring.made(tmp_path / "keys"), FileKeyring.made(tmp_path / "keys")
    old, wrapped = ours.wrap(b"k" * 32, b"")
    new = theirs.add()
    assert ours.current == new
    assert ours.wrap(b"k" * 32, b"")[0] == new
    assert ours.unwrap(old, wrapped, b"") == b"k" * 32
    theirs.drop(old)
    assert ours.names == (new,)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("avow private keys 1\n", 0o600, "isn't a file of private keys"),
        ("avow private keys 1\nab AAAA\n", 0o600, "isn't a file of private keys"),
        ("other\nab " + "A" * 43 + "=\n", 0o600, "isn't a file of private keys"),
        ("avow private keys 1\nab " + "A" * 43 + "=\n", 0o640, "others than its owner may read it"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused(tmp_path: Path, content: str, mode: int, reason: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    os.chmod(file, mode)
    with pytest.raises(EnvironmentFault, match=reason):
        FileKeyring(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="can't be used"):
        FileKeyring(tmp_path / "nowhere")
