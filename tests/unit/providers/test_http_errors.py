"""aiohttp's exceptions and HTTP headers, as the program reads them."""

from __future__ import annotations

import errno
import inspect
import socket
import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from batch_runner.errors import Failure
from batch_runner.providers.http.client import echo_pattern
from batch_runner.providers.http.errors import plain_url, translate

KEY = "sk-a-key-that-must-not-leak"
ADDRESS = URL(f"https://service.example/v1/create?signature={KEY}")
HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {KEY}", "X-Secret": KEY}))

#: Exceptions of aiohttp's client that prove that nothing was sent.
UNSENT = {
    "ClientConnectorError",
    "ClientConnectorDNSError",
    "ClientProxyConnectionError",
    "UnixClientConnectorError",
    "ClientSSLError",
    "ClientConnectorSSLError",
    "ClientConnectorCertificateError",
    "ConnectionTimeoutError",
}
#: Those that report an invalid URL.
INVALID_URL = {"InvalidURL", "InvalidUrlClientError", "InvalidUrlRedirectClientError"}

CLASSES = [
    kind
    for _, kind in inspect.getmembers(client_exceptions, inspect.isclass)
    if issubclass(kind, aiohttp.ClientError)
]


def raised(kind: type[Exception]) -> Exception:
    """Return an exception as aiohttp raises it, with the key wherever it can hold text."""
    connection = ConnectionKey("service.example", 443, True, True, None, None, None)
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(connection, ssl.SSLCertVerificationError("certificate has expired"))
    if issubclass(kind, client_exceptions.UnixClientConnectorError):
        return kind("/run/service", connection, ConnectionRefusedError(111, "refused"))
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(connection, ConnectionRefusedError(111, "refused"))
    if issubclass(kind, aiohttp.ClientResponseError):
        request = RequestInfo(ADDRESS, "POST", HEADERS, ADDRESS)
        return kind(request, (), status=400, message="invalid character", headers=HEADERS)
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"wanted", b"got", "service.example", 443)
    if issubclass(kind, aiohttp.InvalidURL):
        return kind(ADDRESS)
    return kind(KEY)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_only_failures_before_the_connection_are_unsent(kind: type[Exception]) -> None:
    name = kind.__name__
    expected = (
        Failure.UNSENT
        if name in UNSENT
        else Failure.REJECTED
        if name in INVALID_URL
        else Failure.NO_RESPONSE
    )

    assert translate(raised(kind), "POST /create").failure is expected


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_error_texts_hold_neither_headers_nor_key(kind: type[Exception]) -> None:
    error = translate(raised(kind), "POST /create")

    said = f"{error!r} {error} {vars(error)}"
    assert KEY not in said
    assert "Authorization" not in said
    assert str(error).startswith("POST /create: ")


def test_aiohttp_still_has_the_listed_exceptions() -> None:
    assert {kind.__name__ for kind in CLASSES} >= UNSENT | INVALID_URL


def test_invalid_http_is_no_response_though_aiohttp_says_400() -> None:
    error = translate(raised(aiohttp.ClientResponseError), "POST /create")

    assert error.failure is Failure.NO_RESPONSE
    assert error.status is None


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        pytest.param(TimeoutError(), Failure.NO_RESPONSE, id="our-own-timeout"),
        pytest.param(ConnectionResetError(104, "reset"), Failure.NO_RESPONSE, id="reset"),
        pytest.param(BrokenPipeError(32, "broken pipe"), Failure.NO_RESPONSE, id="broken-pipe"),
        pytest.param(ValueError("no such header"), Failure.NO_RESPONSE, id="unreadable"),
    ],
)
def test_errors_from_below_aiohttp_are_no_response(error: Exception, failure: Failure) -> None:
    assert translate(error, "POST /create").failure is failure


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_out_of_descriptors_is_a_local_failure(number: int) -> None:
    connection = ConnectionKey("service.example", 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorError(connection, OSError(number, "too many open files"))

    assert translate(error, "POST /create").failure is Failure.LOCAL


def test_unknown_host_is_named_as_the_cause() -> None:
    connection = ConnectionKey("service.example", 443, True, True, None, None, None)
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = translate(aiohttp.ClientConnectorDNSError(connection, unknown), "POST /create")

    assert str(error) == "POST /create: no connection (Name or service not known)"


def test_untrusted_certificate_is_named_with_the_variable_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    unset = translate(raised(aiohttp.ClientConnectorCertificateError), "POST /create")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/company.pem")
    given = translate(raised(aiohttp.ClientConnectorCertificateError), "POST /create")

    assert "certificate has expired" in str(unset)
    assert "set SSL_CERT_FILE to a file" in str(unset)
    assert "SSL_CERT_FILE, /etc/company.pem" in str(given)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user:secret@f.example/a@b.png", "https://f.example/a@b.png"),
        ("https://files.example/a.png?X-Signature=abc", "https://files.example/a.png"),
        ("https://files.example/a\x1b[2Jb.png", "https://files.example/a [2Jb.png"),
    ],
)
def test_shown_url_has_no_user_query_or_control_characters(url: str, text: str) -> None:
    assert plain_url(url) == text


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (f'{{"message":"bad key {KEY}!"}}', '{"message":"bad key [key]!"}'),
        ("bad \\u0073k-a-\\u006bey-\\u0074hat-must-not-lea\\u006B!", "bad [key]!"),
        ("sk-a-key-that-may-leak", "sk-a-key-that-may-leak"),
        (f"{KEY}{KEY}", "[key][key]"),
        (KEY.replace("-", "\\-"), "[key]"),
    ],
)
def test_key_is_removed_from_a_response_that_repeats_it(said: str, read: str) -> None:
    assert echo_pattern(KEY).sub(b"[key]", said.encode()) == read.encode()
