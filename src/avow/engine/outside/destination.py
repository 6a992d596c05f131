"""A place that effects call: where it is, and what it wants to see from us. And what a URL may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import httpx2

from avow.engine.outside.addresses import AddressRefused

_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]
"""Scheme, host and port: what credentials belong to."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One service of the outside, as one tenant or the whole application may use it.

    base_url:      relative URLs are below it; an absolute URL elsewhere gets none of the headers.
    headers:       sent with each request to the base URL's scheme, host and port; credentials as a rule, so
                   they show in no text.
    allow_private: the base URL may lead into a private network. Other hosts still must not; without a base
                   URL, every host may.
    """

    name: str
    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, hash=False)
    allow_private: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", MappingProxyType(dict(self.headers)))
        if self.base_url is not None:
            try:
                checked(self.base_url)
            except AddressRefused as refused:
                raise ValueError(f"the base URL of destination {self.name}: {refused}") from None
        elif self.headers:
            raise ValueError(f"destination {self.name} has headers and no base URL that they belong to")

    @property
    def origin(self) -> Origin | None:
        """What the headers belong to; None without a base URL."""
        return None if self.base_url is None else origin_of(httpx2.URL(self.base_url))

    def url(self, url: str) -> httpx2.URL:
        """Where this leads. Raises AddressRefused for what must not be called."""
        return checked(url if self.base_url is None or _is_absolute(url) else _below(self.base_url, url))


def origin_of(url: httpx2.URL) -> Origin:
    """The scheme, the host and the port of a URL that was checked."""
    return url.scheme, url.raw_host.decode(), url.port or _PORTS[url.scheme]


def checked(text: str) -> httpx2.URL:
    """The URL, if it can be called at all. Raises AddressRefused, which repeats nothing of it."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        raise AddressRefused("the URL can't be read") from None
    if url.scheme not in _PORTS:
        raise AddressRefused("the URL is neither http nor https")
    if url.userinfo:
        raise AddressRefused("the URL has a user name in it")
    if not url.host:
        raise AddressRefused("the URL names no host")
    return url


def _is_absolute(url: str) -> bool:
    """Has a scheme or a host of its own. What `//host` means depends on the reader, so it isn't joined."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return True
    return bool(parsed.scheme or parsed.host) or url.startswith(("//", "\\"))


def _below(base_url: str, url: str) -> str:
    """The relative URL appended: `/charges` below `https://pay.example/v1` is `/v1/charges` there."""
    if not url:
        return base_url
    joint = "" if url.startswith("?") else "/"
    return base_url.rstrip("/") + joint + url.lstrip("/")
