"""Translation of aiohttp's exceptions and of HTTP errors into `ApiError`."""

from __future__ import annotations

import errno
import os
import re
from email.utils import parsedate_to_datetime

import aiohttp

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.classify import classify
from batch_runner.providers.http.retry_after import retry_after
from batch_runner.util.proxies import ProxyUrl
from batch_runner.util.text import printable

_USER = re.compile(r"//[^/]*@")


class TooLarge(Exception):
    """An API response is larger than any valid one."""


#: What a request may raise. `translate` turns each of them into an `ApiError`.
CAUGHT = (aiohttp.ClientError, TimeoutError, OSError, TooLarge, ValueError)


#: The status by which a proxy asks for a user name and password.
PROXY_AUTHENTICATION = 407


def translate(error: Exception, what: str, proxy: ProxyUrl | None = None) -> ApiError:
    """Return our error for one of aiohttp's; its text holds no headers.

    `proxy` is the one that the request was to use; None: a direct connection.

    Only a failure before the connection exists proves that nothing was sent. Everything after the
    connect is ambiguous, including a response that is not HTTP: aiohttp reports that as status 400.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return proxy_refusal(what, proxy, error.status)
    if proxy is not None and type(error).__module__.startswith("aiohttp_socks"):
        detail = printable(str(error).replace(proxy.url, str(proxy)), 200)
        return ApiError(f"{what}: {_named(proxy)}: {detail}", failure=Failure.UNSENT)
    if isinstance(error, aiohttp.ClientConnectorError):
        local = error.os_error.errno in (errno.EMFILE, errno.ENFILE)
        cause = error.os_error
        detail = getattr(cause, "verify_message", None) or cause.strerror or str(cause)
        # Behind a proxy no other host name is resolved here.
        proxy_errors = (aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError)
        at = f" to {_named(proxy)}" if proxy is not None and isinstance(error, proxy_errors) else ""
        return ApiError(
            f"{what}: no connection{at} ({detail}){_tls_hint(error)}",
            failure=Failure.LOCAL if local else Failure.UNSENT,
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ApiError(f"{what}: no connection in time", failure=Failure.UNSENT)
    if isinstance(error, aiohttp.InvalidURL):
        return ApiError(f"{what}: not a valid URL", failure=Failure.REJECTED)
    return ApiError(f"{what}: {_response_failure(error)}", failure=Failure.NO_RESPONSE)


def proxy_refusal(what: str, proxy: ProxyUrl, status: int) -> ApiError:
    """Return the error for a proxy that answered in place of the service: nothing was sent on."""
    wants = ": it wants a user name and password" if status == PROXY_AUTHENTICATION else ""
    return ApiError(
        f"{what}: {_named(proxy)} answered HTTP {status}{wants}",
        failure=Failure.PROXY if status in (403, PROXY_AUTHENTICATION) else Failure.UNSENT,
    )


def _named(proxy: ProxyUrl) -> str:
    return f"the proxy {proxy} of {proxy.source}"


def _tls_hint(error: Exception) -> str:
    """Return what to do about a certificate that is not trusted; "" for another error."""
    if not isinstance(error, aiohttp.ClientSSLError):
        return ""
    if path := os.environ.get("SSL_CERT_FILE"):
        return f"; trusted are the certificates of SSL_CERT_FILE, {printable(path)}"
    return "; set SSL_CERT_FILE to a file of the certificates to trust"


def _response_failure(error: Exception) -> str:
    if isinstance(error, TooLarge):
        return "the response is too large"
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the response is not valid HTTP"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without a response"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the response ended before it was complete"
    if isinstance(error, OSError) and error.strerror:
        return f"the connection was lost ({error.strerror})"
    return "the response could not be read"


def download_error(response: aiohttp.ClientResponse, url: str) -> ApiError:
    """Return the error for a download whose HTTP status is not 200."""
    return ApiError(
        f"GET {plain_url(url)}: HTTP {response.status}",
        failure=classify(response.status, None) or Failure.NO_RESPONSE,
        status=response.status,
        retry_after=retry_after(response.headers),
    )


def plain_url(url: str) -> str:
    """Return `url` for display, without query, user name and password, which may be secrets."""
    return printable(_USER.sub("//", url.split("?", 1)[0]), 200)


def server_date(date: str | None) -> float | None:
    """Return the server's clock in Unix seconds from a Date header, None without a usable one."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
