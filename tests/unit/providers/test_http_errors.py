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
from batch_runner.providers.http import _echo_of, _retry_after, plain_url, translate

KEY = "sk-a-key-that-must-not-leak"
ADDRESS = URL(f"https://service.example/v1/create?signature={KEY}")
HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {KEY}", "X-Secret": KEY}))

#: Every exception of aiohttp's client that proves that nothing was sent.
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
#: Those that say that the address itself is none.
REFUSED = {"InvalidURL", "InvalidUrlClientError", "InvalidUrlRedirectClientError"}

CLASSES = [
    kind
    for _, kind in inspect.getmembers(client_exceptions, inspect.isclass)
    if issubclass(kind, aiohttp.ClientError)
]


def raised(kind: type[Exception]) -> Exception:
    """Return an exception of `kind` as aiohttp makes it, with the key wherever it can hold one."""
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
def test_only_what_fails_before_the_connection_stands_was_not_sent(kind: type[Exception]) -> None:
    name = kind.__name__
    wanted = (
        Failure.UNSENT
        if name in UNSENT
        else Failure.REJECTED
        if name in REFUSED
        else Failure.NO_RESPONSE
    )

    assert translate(raised(kind), "POST /create").failure is wanted


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_is_said_holds_neither_header_nor_key(kind: type[Exception]) -> None:
    error = translate(raised(kind), "POST /create")

    said = f"{error!r} {error} {vars(error)}"
    assert KEY not in said
    assert "Authorization" not in said
    assert str(error).startswith("POST /create: ")


def test_the_walk_meets_the_exceptions_it_names() -> None:
    assert {kind.__name__ for kind in CLASSES} >= UNSENT | REFUSED


def test_garbage_instead_of_http_is_no_refusal_although_aiohttp_calls_it_400() -> None:
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
def test_what_comes_from_below_aiohttp_is_ambiguous(error: Exception, failure: Failure) -> None:
    assert translate(error, "POST /create").failure is failure


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_machine_out_of_descriptors_is_no_fault_of_the_service(number: int) -> None:
    connection = ConnectionKey("service.example", 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorError(connection, OSError(number, "too many open files"))

    assert translate(error, "POST /create").failure is Failure.LOCAL


def test_an_unknown_host_is_told_in_words() -> None:
    connection = ConnectionKey("service.example", 443, True, True, None, None, None)
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = translate(aiohttp.ClientConnectorDNSError(connection, unknown), "POST /create")

    assert str(error) == "POST /create: no connection (Name or service not known)"


def test_an_expired_certificate_is_told_in_words() -> None:
    error = translate(raised(aiohttp.ClientConnectorCertificateError), "POST /create")

    assert "certificate has expired" in str(error)


NOW = "Mon, 01 Jun 2026 22:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("5", 5, id="seconds"),
        pytest.param(" 5 ", 5, id="spaces"),
        pytest.param("0", 0, id="now"),
        pytest.param("0" * 30 + "5", 5, id="leading-zeros"),
        pytest.param("Mon, 01 Jun 2026 22:01:30 GMT", 90, id="date"),
        pytest.param("Tue, 02 Jun 2026 00:01:30 +0200", 90, id="date-in-another-zone"),
        pytest.param("Mon, 01 Jun 2026 21:00:00 GMT", 0, id="date-gone-by"),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="words"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("1e9", None, id="exponent"),
        pytest.param("nan", None, id="nan"),
        pytest.param("٣", None, id="digits-of-another-script"),
        pytest.param("Mon, 99 Foo 2026 99:99:99 GMT", None, id="date-that-is-none"),
        pytest.param("Mon, 01 Jun 99999 22:00:00 GMT", None, id="year-99999"),
        pytest.param("Mon, 01 Jun 2026 22:00:00 +9999999999999", None, id="zone-that-is-none"),
        pytest.param("Mon, 01 Jun 2026 22:01:30", None, id="date-without-a-zone"),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(text: str, seconds: float | None) -> None:
    assert _retry_after({"Retry-After": text, "Date": NOW}) == seconds


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000])
def test_an_absurd_retry_after_is_a_very_long_time_and_no_accident(text: str) -> None:
    seconds = _retry_after({"Retry-After": text})

    assert seconds is not None
    assert seconds > 1e9


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jun 2026 22:00:00 +9999999999999"])
def test_a_date_beside_a_date_that_is_none_is_no_accident(date: str) -> None:
    headers = {"Retry-After": "Mon, 01 Jun 2026 22:01:30 GMT", "Date": date}

    assert _retry_after(headers) is None


def test_without_a_retry_after_no_time_is_named() -> None:
    assert _retry_after({"Date": NOW}) is None


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user:secret@f.example/a@b.png", "https://f.example/a@b.png"),
        ("https://files.example/a.png?X-Signature=abc", "https://files.example/a.png"),
        ("https://files.example/a\x1b[2Jb.png", "https://files.example/a [2Jb.png"),
    ],
)
def test_an_address_is_shown_without_signature_and_control_characters(url: str, text: str) -> None:
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
def test_an_answer_that_repeats_the_key_is_read_without_it(said: str, read: str) -> None:
    assert _echo_of(KEY).sub(b"[key]", said.encode()) == read.encode()
