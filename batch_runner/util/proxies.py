"""Addresses of proxies, and which of them a request uses. Shown without user name and password."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from batch_runner.util.locale import tr
from batch_runner.util.text import printable

#: Variables that may name a proxy; programs read them in lower case as well.
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """The address of a proxy; `source` is the setting or variable that names it, for messages."""

    url: str = field(repr=False)  # with user name and password
    source: str = ""

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def is_socks(self) -> bool:
        return self.parts.scheme.startswith("socks")

    @property
    def password(self) -> str:
        """Return the password, "" if there is none."""
        return unquote(self.parts.password or "")

    def __str__(self) -> str:
        shown = "[hidden]@" if "@" in self.parts.netloc else ""
        return f"{self.parts.scheme}://{shown}{self.parts.netloc.rpartition('@')[2]}"


def parse_proxy(value: Any) -> ProxyUrl:
    """Return the proxy at an address such as "http://proxy.example:3128".

    Raises:
        ValueError: it is no such address; the message shows no password.
    """
    if isinstance(value, ProxyUrl):
        return value
    text = value.strip() if isinstance(value, str) else ""
    url = text if "://" in text else f"http://{text}"
    if not _is_address(url):
        shown = printable(text.rpartition("@")[2], 80) if text else tr("empty")
        raise ValueError(
            tr(
                "wanted the address of a proxy such as http://proxy.example:3128, this is {shown}",
                shown=shown,
            )
        )
    proxy = ProxyUrl(url)
    if proxy.is_socks and importlib.util.find_spec("aiohttp_socks") is None:
        raise ValueError(
            tr("a SOCKS proxy needs an extra package: pip install 'batch-runner[socks]'")
        )
    return proxy


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or not host.isprintable() or set(host) & set(" \\<>\"'^`{}|%"):
        return False
    more = parts.path not in ("", "/") or parts.query or parts.fragment
    return parts.scheme in SCHEMES and port != 0 and not more


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy for each scheme of a URL; None: direct connections."""

    http: ProxyUrl | None = None
    https: ProxyUrl | None = None
    no_proxy: str = ""  # hosts that are connected to directly, as in NO_PROXY

    def for_url(self, url: str) -> ProxyUrl | None:
        """Return the proxy for a request to `url`; None: a direct connection."""
        if self.http is None and self.https is None:
            return None
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        if proxy is None or not self.no_proxy:
            return proxy
        host = parts.netloc.rpartition("@")[2]
        return None if proxy_bypass_environment(host, {"no": self.no_proxy}) else proxy

    @property
    def passwords(self) -> set[str]:
        """Return what must be in no log, as written and decoded."""
        found = {each for each in (self.http, self.https) if each is not None}
        return {
            text for each in found for text in (each.password, each.parts.password or "") if text
        }


def environment_proxies(environment: Mapping[str, str]) -> Proxies:
    """Return the proxies that the usual variables name.

    Raises:
        ValueError: one of them is invalid; the message names it.
    """
    found = {}
    for scheme in ("http", "https"):
        name = proxy_variable(scheme, environment)
        try:
            found[scheme] = name and ProxyUrl(parse_proxy(environment[name]).url, name)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    bypassed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return Proxies(found["http"] or None, found["https"] or None, bypassed)


def proxy_variable(scheme: str, environment: Mapping[str, str]) -> str | None:
    """Return the variable that names the proxy for URLs of a scheme; None: none is set."""
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if environment.get(name, "").strip()), None)
