"""Refuse downloads from private addresses, unless the service itself has one.

The check is made where the socket is created, for every address of every redirect. It cannot be
evaded by a host name that resolves to another address the second time.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import re
import socket
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from batch_runner.errors import FileNotAccepted, FileRejected
from batch_runner.providers.http.errors import plain_url
from batch_runner.settings import Service

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Addresses that proxies such as Clash give to every host, public ones too. No real host has one.
FAKE_ADDRESSES = ipaddress.ip_network("198.18.0.0/15")
#: IPv6 addresses that stand for the IPv4 address in their last bytes.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_REFUSED = re.compile(r"(\S+) is a private address")


class AddressGuard:
    """Decides from which addresses files are downloaded: public ones, and these others.

    `service` are the addresses of the service itself: if one is private, private ones are allowed;
    if one is of this machine or of its link, such ones, too. `networks` are allowed by the user,
    but never those two.
    """

    def __init__(
        self,
        service: Iterable[str] = (),
        *,
        networks: Collection[str] = (),
        allow_private: bool = False,
    ) -> None:
        own = [one for one in map(_parse, service) if not one.is_global]
        real = [one for one in own if one not in FAKE_ADDRESSES]
        self._networks = [ipaddress.ip_network(one) for one in networks]
        if len(own) > len(real):
            self._networks.append(FAKE_ADDRESSES)
        self._private = allow_private or bool(real)
        self._loopback = allow_private or any(one.is_loopback or one.is_unspecified for one in real)
        self._link_local = any(one.is_link_local for one in real)

    def allows(self, address: str) -> bool:
        """Return whether files may be downloaded from `address`."""
        ip = _parse(address)
        if ip.is_link_local:
            return self._link_local
        if ip.is_loopback or ip.is_unspecified:
            return self._loopback
        if ip.is_multicast:
            return False
        return ip.is_global or self._private or any(ip in network for network in self._networks)

    def checked_url(self, url: str) -> URL:
        """Return `url` parsed as the connection will parse it.

        Raises:
            FileRejected: it is not an http(s) URL, or holds a user name.
            FileNotAccepted: it names an address that is not allowed.
        """
        try:
            address = URL(url)
        except ValueError:
            raise FileRejected(f"{plain_url(url)} is not a valid URL") from None
        if address.scheme not in ("http", "https") or not address.host or address.user:
            raise FileRejected(f"{plain_url(url)} is not a URL that may be downloaded")
        if _is_literal(address.host) and not self.allows(address.host):
            raise _refusal(url, address.host)
        return address

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Open a socket for a resolved address.

        Raises:
            OSError: the address is not allowed.
        """
        family, kind, protocol, _, address = info
        if not self.allows(address[0]):
            raise OSError(errno.EACCES, f"{address[0]} is a private address")
        return socket.socket(family=family, type=kind, proto=protocol)


def refusal_of(error: Exception, url: str) -> FileNotAccepted | None:
    """Return the refusal of `open_socket` that made a download of `url` fail; None: it was not."""
    if not isinstance(error, aiohttp.ClientConnectorError) or error.os_error.errno != errno.EACCES:
        return None
    found = _REFUSED.search(str(error.os_error))
    return _refusal(url, found[1].rpartition("] ")[2]) if found else None


async def refuse_private_host(guard: AddressGuard, url: str) -> None:
    """Refuse `url`, which a proxy is asked for, if its host has an address that is not allowed.

    A name that only the proxy can resolve is left to it.

    Raises:
        FileNotAccepted: it has.
    """
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for one in found:
        if not guard.allows(str(one[4][0])):
            raise _refusal(url, str(one[4][0]))


async def guard_for(service: Service, networks: Collection[str]) -> AddressGuard:
    """Return the guard for downloads from `service`; `networks` are those that the user allows."""
    host = urlsplit(service.base_url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        found = []  # the first request fails too, with a message
    addresses = [str(one[4][0]) for one in found]
    return AddressGuard(addresses, networks=networks, allow_private=service.allow_private)


def _refusal(url: str, address: str) -> FileNotAccepted:
    ip = _parse(address)
    where = f"{plain_url(url)} is on the private address {address}"
    if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast:
        where += ", from which nothing is downloaded"
    else:
        width = "/24" if ip.version == 4 else "/64"
        network = ipaddress.ip_network(f"{ip}{width}", strict=False)
        network = FAKE_ADDRESSES if ip in FAKE_ADDRESSES else network
        where += f"; if it is right, add {network} to downloads.allow_networks"
    return FileNotAccepted(where, reason="private-address", certain=True)


@functools.lru_cache(maxsize=256)
def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:  # a name: `open_socket` checks what it resolves to
        return False
    return True


@functools.lru_cache(maxsize=256)
def _parse(address: str) -> Address:
    """Return an address; of an IPv6 one that stands for an IPv4 one, the latter."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _TRANSLATED:
            return ipaddress.IPv4Address(ip.packed[-4:])
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip
