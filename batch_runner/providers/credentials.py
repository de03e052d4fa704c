"""A service's URL and key: from the environment, a key file or a systemd credential."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from batch_runner.errors import UsageError
from batch_runner.providers.catalog import PROVIDERS
from batch_runner.providers.info import ProviderInfo
from batch_runner.settings import Network, Service
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.proxies import Proxies, ProxyUrl, environment_proxies, proxy_variable
from batch_runner.util.secret_files import (
    is_readable_by_others,
    read_text,
    secret_file,
    without_assignment,
)
from batch_runner.util.text import error_reason, printable

_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def read_service(
    provider: str,
    environment: Mapping[str, str],
    network: Network | None = None,
    *,
    base_urls: Sequence[str] = (),
) -> Service:
    """Return the URL and the key of a provider's service, and how `network` reaches it.

    `base_urls` are those that the manifest gives, if the environment gives none.

    Raises:
        UsageError: there is no key, the URL is not one of a service, or a variable that is to be
            used names no proxy.
    """
    info = PROVIDERS[provider]
    text = environment.get(info.base_url_variable, "").strip()
    urls = base_urls_of(info, environment, base_urls)
    for url in urls:
        check_base_url(url, info.base_url_variable if text or not base_urls else "base_url")
    key, key_source = _read_key(info.key_variable, environment, needed=info.needs_key)
    if key and not text:
        _check_bound(info, base_urls)
    return Service(
        provider=provider,
        base_url=urls[0],
        base_urls=urls if info.own_server else (),
        key=SecretStr(key),
        key_source=key_source,
        proxies=choose_proxies(network or Network(), environment),
    )


def _check_bound(info: ProviderInfo, of_manifest: Sequence[str]) -> None:
    """Refuse to send a key to servers that only the manifest names, perhaps somebody else's.

    A server on this machine or in a private network is none.

    Raises:
        UsageError: the manifest names another one.
    """
    for url in of_manifest:
        host = urlsplit(url.strip()).hostname or ""
        try:
            own = ipaddress.ip_address(host).is_private
        except ValueError:
            own = host == "localhost"
        if not own:
            raise UsageError(
                tr(
                    "the manifest names the server {url}, which would get the key of {variable}; "
                    "if it is yours, set {address_variable} to it",
                    url=printable(url, 200),
                    variable=info.key_variable,
                    address_variable=info.base_url_variable,
                )
            )


def base_urls_of(
    info: ProviderInfo, environment: Mapping[str, str], of_manifest: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the URLs of a provider's service, not checked; own servers may be several.

    Those of the manifest are used if the environment names none.
    """
    text = environment.get(info.base_url_variable, "").strip()
    text = text or ",".join(of_manifest) or info.base_url
    if not info.own_server:
        return (text,)
    urls = (url.strip().rstrip("/") for url in text.split(","))
    return tuple(dict.fromkeys(url for url in urls if url)) or (text,)


def complete_service(
    service: Service, provider: str, environment: Mapping[str, str], network: Network
) -> Service:
    """Return a service that a program gave, checked, with its proxies.

    Raises:
        UsageError: the URL is not one of a service, or the service is not one of `provider`.
    """
    check_base_url(service.base_url, "Service.base_url")
    for base_url in service.base_urls:
        check_base_url(base_url, "Service.base_urls")
    if service.provider != provider:
        raise UsageError(
            tr(
                "the manifest is for the provider {expected}, but the service is one of {given}; "
                "use a service of the manifest's provider",
                expected=provider,
                given=service.provider,
            )
        )
    if service.proxies is not None:
        return service
    return service.model_copy(update={"proxies": choose_proxies(network, environment)})


def choose_proxies(network: Network, environment: Mapping[str, str]) -> Proxies:
    """Return the proxies that the settings choose; the environment's only if it is trusted.

    Raises:
        UsageError: a variable that is to be used names no proxy.
    """
    try:
        named = environment_proxies(environment if network.trust_env else {})
    except ValueError as error:
        raise UsageError(str(error)) from None
    if network.proxy is None:
        return named
    proxy = replace(network.proxy, source="network.proxy")
    return Proxies(proxy, proxy, named.no_proxy)


def ignored_proxy_warning(
    provider: str, environment: Mapping[str, str], network: Network
) -> str | None:
    """Return a warning about a proxy variable that is set and not used; None if there is none."""
    info = PROVIDERS[provider]
    base_url = base_urls_of(info, environment)[0]
    name = proxy_variable(base_url.partition(":")[0].lower(), environment)
    if name is None or network.trust_env or network.proxy is not None:
        return None
    bypassed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    anything = ProxyUrl("http://any")
    if Proxies(anything, anything, bypassed).for_url(base_url) is None:
        return None
    return tr("{name} is set but not used; --trust-env yes uses it", name=name)


def check_base_url(base_url: str, variable: str) -> None:
    """Check the URL of a service, which `variable` holds.

    Raises:
        UsageError: it is not a valid URL, is on a documentation host, or may hold a secret.
    """
    try:
        parts = urlsplit(base_url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(
            tr("{variable} is not a valid URL: {error}", variable=variable, error=error)
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            tr("{variable} must begin with http:// or https:// and name a host", variable=variable)
        )
    if not _is_host(parts.hostname):
        raise UsageError(
            tr(
                '{variable}: "{hostname}" is not a valid host name',
                variable=variable,
                hostname=printable(parts.hostname, 80),
            )
        )
    if parts.username or parts.password:
        raise UsageError(tr("{variable} must not hold a user name or password", variable=variable))
    if parts.query or parts.fragment:
        raise UsageError(tr("{variable} must not hold a query or fragment", variable=variable))
    for info in PROVIDERS.built_in():
        if parts.hostname == info.docs_host:
            raise UsageError(
                tr(
                    "{variable} points to the documentation host {docs_host}; did you "
                    "mean {base_url}?",
                    variable=variable,
                    docs_host=info.docs_host,
                    base_url=info.base_url,
                )
            )


def _is_host(name: str) -> bool:
    """Return whether the connection would accept this host name or IP address."""
    if ":" in name or name.rpartition(".")[2].isdigit():  # only an IP address ends like this
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        return True
    try:
        labels = name.encode("idna").decode().removesuffix(".").split(".")
    except UnicodeError:
        return False
    return all(_HOST_LABEL.fullmatch(label) for label in labels)


def _read_key(
    variable: str, environment: Mapping[str, str], *, needed: bool = True
) -> tuple[str, str]:
    """Return the key, and the variable or file that it comes from; "" if none is `needed`."""
    if text := environment.get(variable):
        return _plain_key(text, variable, variable), variable
    path = secret_file(variable, environment)
    if path is None and not needed:
        return "", ""
    if path is None:
        raise UsageError(
            tr(
                "no key: set {variable}, or {variable}_FILE to a file that holds "
                "it (or try `run --rehearse`, which needs none)",
                variable=variable,
            )
        )
    shown = printable(utf8_text(path))
    return _plain_key(_read_text(path), shown, variable), shown


def key_file_warning(provider: str, environment: Mapping[str, str]) -> str | None:
    """Return a warning about a key file that other users may read; None if there is none."""
    path = secret_file(PROVIDERS[provider].key_variable, environment)
    if path is None or environment.get("CREDENTIALS_DIRECTORY") or not is_readable_by_others(path):
        return None
    quoted = shlex.quote(utf8_text(path))
    return tr("other users may read the key file; protect it with chmod 600 {path}", path=quoted)


def _read_text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            tr("cannot read the key from {path}: {error}", path=path, error=error_reason(error))
        ) from None


def _plain_key(text: str, source: str, variable: str) -> str:
    """Return the key in `text`, without blanks, quotes or the name of its variable around it.

    Raises:
        UsageError: what is left is no key. The message shows nothing of it.
    """
    key = without_assignment(text, variable)
    if not key:
        raise UsageError(tr("{source} holds no key: it is empty", source=source))
    if len(key.splitlines()) > 1:
        raise UsageError(tr("{source} holds more than one line; keep only the key", source=source))
    if not key.isascii() or not key.isprintable() or set(key) & set(" \"'"):
        raise UsageError(
            tr("{source} contains whitespace, quotes or non-ASCII characters", source=source)
        )
    return key
