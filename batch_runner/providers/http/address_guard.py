"""Refuse downloads from private addresses, unless the service itself has one.

The check is made where the socket is created, for every address of every redirect. It cannot be
evaded by a host name that resolves to another address the second time.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from yarl import URL

from batch_runner.errors import FileRejected
from batch_runner.providers.http.errors import plain_url


def checked_url(url: str, *, allow_private: bool) -> URL:
    """Return `url` parsed as the connection will parse it.

    Raises:
        FileRejected: it is not an http(s) URL, holds a user name, or names a private address.
    """
    try:
        address = URL(url)
    except ValueError:
        raise FileRejected(f"{plain_url(url)} is not a valid URL") from None
    if address.scheme not in ("http", "https") or not address.host or address.user:
        raise FileRejected(f"{plain_url(url)} is not a URL that may be downloaded")
    if not allow_private and _is_private_literal(address.host):
        raise FileRejected(f"{plain_url(url)} is on a private address")
    return address


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Open a socket for a resolved address.

    Raises:
        OSError: the address is private.
    """
    family, kind, protocol, _, address = info
    if not _is_global(address[0]):
        raise OSError(errno.EACCES, f"{address[0]} is a private address")
    return socket.socket(family=family, type=kind, proto=protocol)


async def is_private_host(base_url: str) -> bool:
    """Return whether any address of the host of `base_url` is private; False if unresolved."""
    host = urlsplit(base_url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # the first request fails too, with a message
    return any(not _is_global(str(one[4][0])) for one in found)


def _is_private_literal(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:  # a name: `public_socket` checks what it resolves to
        return False


def _is_global(address: str) -> bool:
    return ipaddress.ip_address(address.split("%")[0]).is_global
