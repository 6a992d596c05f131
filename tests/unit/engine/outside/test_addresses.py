"""Calls go to public addresses only, whatever a URL or a name server says."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from avow.engine.outside import AddressRefused, Destination, Outside
from avow.engine.outside.addresses import Resolve, is_public
from avow.model.outcome import Declined, NotDone
from tests.unit.engine.outside.server import answering, serving

REFUSED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "100::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::1", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1",
    "", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.167.255.255",
    "169.253.255.255", "168.63.129.17", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not_refused(address: str) -> None:
    assert is_public(address)


def names(*answers: str) -> tuple[Resolve, list[str]]:
    """A name server that gives one of these answers at each question, and what it was asked."""
    asked: list[str] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1].split()

    return resolver, asked


async def get(url: str, resolver: Resolve, destination: Destination | None = None) -> int:
    made = Outside(resolver=resolver)
    try:
        http = made.http(destination, key="k", deadline=time.monotonic() + 10)
        return (await http.get(url)).status
    finally:
        await made.aclose()


async def test_a_name_that_leads_inside_is_refused_and_nothing_connects() -> None:
    async with serving(answering(200)) as heard:
        for answer in ("127.0.0.1", "::1", "8.8.8.8 127.0.0.1", "127.0.0.1 8.8.8.8"):
            with pytest.raises(AddressRefused) as raised:
                await get(heard.url(host="rebind.test"), names(answer)[0])
            assert "allow_private" in raised.value.mend
            assert isinstance(raised.value, Declined), "a definite failure"
            assert raised.value.code == "address-refused"
        assert heard.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_no_spelling_of_the_own_machine_is_called(host: str) -> None:
    """With the system's own look-up, which knows all of them."""
    async with serving(answering(200)) as heard:
        made = Outside()
        with pytest.raises((AddressRefused, NotDone)):
            await made.http(key="k", deadline=time.monotonic() + 10).get(heard.url(host=host))
        await made.aclose()
        assert heard.connections == 0


async def test_what_was_checked_is_what_is_connected_to() -> None:
    """The name is asked for once; a second answer, which could be another one, is never heard."""
    async with serving(answering(200)) as heard:
        allowed = Destination("inside", heard.url(host="service.test"), allow_private=True)
        resolver, asked = names("127.0.0.1", "192.0.2.1")
        assert await get("/", resolver, allowed) == 200
        assert asked == ["service.test"]
        assert heard.headers()["host"] == f"service.test:{heard.port}"


@pytest.mark.parametrize("answer", ["127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2"])
async def test_every_address_is_tried_in_order_until_one_answers(answer: str) -> None:
    async with serving(answering(200)) as heard:
        allowed = Destination("inside", heard.url(host="service.test"), allow_private=True)
        assert await get("/", names(answer)[0], allowed) == 200


async def test_what_a_destination_may_holds_for_its_own_host_alone() -> None:
    """A provider whose answer names another host must not lead us into our own network."""
    async with serving(answering(200)) as heard:
        allowed = Destination("inside", "http://service.test", allow_private=True)
        with pytest.raises(AddressRefused):
            await get(heard.url(host="metadata.test"), names("127.0.0.1")[0], allowed)
        assert heard.connections == 0


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with serving(answering(200)) as other:
        moved = answering(307, b"", f"location: {other.url()}")
        async with serving(moved) as heard:
            allowed = Destination("inside", heard.url(), allow_private=True)
            assert await get("/", names("127.0.0.1")[0], allowed) == 307
        assert other.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://provider.test/",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "http://sk_secret:sk_secret@provider.test/",
        "http://sk_secret@provider.test/",
        "http:///sk_secret",
        "//provider.test/sk_secret",
        "/sk_secret",
        "",
        "http://[::1/sk_secret",
        "http://pro vider.test\r\n/",
        "javascript:sk_secret",
    ],
)
async def test_a_url_that_cannot_be_called_is_refused_without_repeating_it(url: str) -> None:
    resolver, asked = names("8.8.8.8")
    with pytest.raises(AddressRefused) as raised:
        await get(url, resolver)
    assert "sk_secret" not in str(raised.value)
    assert asked == []
