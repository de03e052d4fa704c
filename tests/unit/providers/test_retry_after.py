"""How long a service asks to wait, from the headers of its response."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from batch_runner.providers.http.retry_after import retry_after as read

NOW = "Mon, 01 Jun 2026 22:00:00 GMT"


def retry_after(headers: dict[str, str]) -> float | None:
    return read(CIMultiDict(headers))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("5", 5, id="seconds"),
        pytest.param(" 5 ", 5, id="spaces"),
        pytest.param("0", 0, id="now"),
        pytest.param("0" * 30 + "5", 5, id="leading-zeros"),
        pytest.param("Mon, 01 Jun 2026 22:01:30 GMT", 90, id="date"),
        pytest.param("Tue, 02 Jun 2026 00:01:30 +0200", 90, id="date-in-another-zone"),
        pytest.param("Mon, 01 Jun 2026 21:00:00 GMT", 0, id="date-in-the-past"),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="words"),
        pytest.param("-5", None, id="negative"),
        pytest.param("6.5", 6.5, id="fraction"),
        pytest.param(".5", 0.5, id="fraction-below-1"),
        pytest.param("5, 20", 20, id="joined-by-a-proxy"),
        pytest.param("5, soon", 5, id="joined-with-words"),
        pytest.param("1e9", None, id="exponent"),
        pytest.param("nan", None, id="nan"),
        pytest.param("٣", None, id="digits-of-another-script"),
        pytest.param("Mon, 99 Foo 2026 99:99:99 GMT", None, id="invalid-date"),
        pytest.param("Mon, 01 Jun 99999 22:00:00 GMT", None, id="year-99999"),
        pytest.param("Mon, 01 Jun 2026 22:00:00 +9999999999999", None, id="invalid-zone"),
        pytest.param("Mon, 01 Jun 2026 22:01:30", None, id="date-without-a-zone"),
    ],
)
def test_retry_after_accepts_seconds_and_dates(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text, "Date": NOW}) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After-Ms", "1500"), ("Retry-After", "2")], 1.5),
        ([("retry-after-ms", "0")], 0),
        ([("Retry-After-Ms", "-3"), ("Retry-After", "2")], 2),
        ([("Retry-After", "5"), ("Retry-After", "30"), ("Retry-After", "soon")], 30),
        ([("Retry-After", "5"), ("Retry-After", "Mon, 01 Jun 2026 22:01:30 GMT")], 90),
    ],
)
def test_exact_header_wins_then_the_longest_time(
    headers: list[tuple[str, str]], seconds: float
) -> None:
    assert read(CIMultiDict([*headers, ("Date", NOW)])) == seconds


def test_date_counts_by_the_clock_of_the_service() -> None:
    """It is years behind, or ahead; only the difference counts."""
    headers = {
        "Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT",
        "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
    }

    assert retry_after(headers) == 60


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000])
def test_absurd_retry_after_is_a_long_finite_time(text: str) -> None:
    seconds = retry_after({"Retry-After": text})

    assert seconds is not None
    assert 1e8 < seconds < 1e9


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jun 2026 22:00:00 +9999999999999"])
def test_invalid_date_header_disables_a_retry_after_date(date: str) -> None:
    headers = {"Retry-After": "Mon, 01 Jun 2026 22:01:30 GMT", "Date": date}

    assert retry_after(headers) is None


def test_missing_retry_after_is_none() -> None:
    assert retry_after({"Date": NOW}) is None
