"""Where a service wants its key in a request, and which requests get it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from batch_runner.util.urls import origin

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class KeyPlace(StrEnum):
    """The part of a request that holds the key."""

    HEADER = "header"
    QUERY = "query"  #: a parameter of the URL
    BODY = "body"  #: a field of the JSON object, or of the form


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlacement:
    """How a service wants its key: `name` of header, parameter or field, and text before the key.

    `hosts` are the hosts besides the service's own that get the key over https; *.example.com means
    the subdomains of example.com. `local`: the service is a simulator on this machine, whose other
    ports belong to it.
    """

    place: KeyPlace = KeyPlace.HEADER
    name: str = "Authorization"
    prefix: str = "Bearer "
    hosts: Collection[str] = ()
    local: bool = False

    def is_for(self, url: str, base_url: str) -> bool:
        """Return whether a request to `url` gets the key of the service at `base_url`."""
        target, own = urlsplit(url), urlsplit(base_url)
        if origin(url) == origin(base_url):
            return True
        if self.local and target.hostname in _LOOPBACK and own.hostname in _LOOPBACK:
            return True
        host = target.hostname or ""
        listed = any(fnmatchcase(host, pattern) for pattern in self.hosts)
        return listed and target.scheme == "https" and target.port in (None, 443)


@dataclass(frozen=True, slots=True)
class Key:
    """A service's key, and how its requests carry it; without a key they carry nothing."""

    text: str = field(repr=False)
    placement: KeyPlacement = KeyPlacement()

    def _in(self, place: KeyPlace) -> dict[str, str]:
        placement = self.placement
        if not self.text or placement.place is not place:
            return {}
        return {placement.name: placement.prefix + self.text}

    @property
    def headers(self) -> Mapping[str, str]:
        return self._in(KeyPlace.HEADER)

    @property
    def query(self) -> Mapping[str, str]:
        return self._in(KeyPlace.QUERY)

    @property
    def fields(self) -> Mapping[str, str]:
        return self._in(KeyPlace.BODY)
