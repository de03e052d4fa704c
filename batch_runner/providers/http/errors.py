"""Translation of aiohttp's exceptions and of HTTP errors into `ApiError`."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.classify import classify
from batch_runner.util.text import printable

_USER = re.compile(r"//[^/]*@")


class TooLarge(Exception):
    """An API response is larger than any valid one."""


#: What a request may raise. `translate` turns each of them into an `ApiError`.
CAUGHT = (aiohttp.ClientError, TimeoutError, OSError, TooLarge, ValueError)


def translate(error: Exception, what: str) -> ApiError:
    """Return our error for one of aiohttp's; its text holds no headers.

    Only a failure before the connection exists proves that nothing was sent. Everything after the
    connect is ambiguous, including a response that is not HTTP: aiohttp reports that as status 400.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        local = error.os_error.errno in (errno.EMFILE, errno.ENFILE)
        detail = error.os_error.strerror or str(error.os_error)
        return ApiError(
            f"{what}: no connection ({detail})",
            failure=Failure.LOCAL if local else Failure.UNSENT,
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ApiError(f"{what}: no connection in time", failure=Failure.UNSENT)
    if isinstance(error, aiohttp.InvalidURL):
        return ApiError(f"{what}: not a valid URL", failure=Failure.REJECTED)
    return ApiError(f"{what}: {_response_failure(error)}", failure=Failure.NO_RESPONSE)


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


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After (a number or a date) asks for; None without it."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text.lstrip("0")[:12] or 0)  # cut: an absurd number stays finite
    try:
        when = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if now is None:
        now = datetime.now(UTC)
    try:
        return max(0.0, (when - now).total_seconds())
    except TypeError:  # only one of the two has a time zone
        return None


def server_date(headers: Mapping[str, str]) -> float | None:
    """Return the server's clock in Unix seconds, None without a usable Date header."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
