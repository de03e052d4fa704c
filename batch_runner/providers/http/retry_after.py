"""How long a service asks to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

#: A longer time is as good as never; the engine waits for `retries.longest_pause` at most.
_LONGEST = 10 * 365 * 86400.0
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)


def retry_after(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> float | None:
    """Return the seconds that a response asks to wait; None without a usable time.

    Retry-After is a number of seconds or a date; Retry-After-Ms, which some services send as well,
    is more exact. Of several values the longest counts.
    """
    found = [
        seconds / 1000
        for text in _values(headers, "Retry-After-Ms")
        if (seconds := _number(text)) is not None
    ]
    if not found:
        dates = headers.getall("Date", [])
        for text in _values(headers, "Retry-After"):
            seconds = _number(text)
            seconds = _until(text, dates) if seconds is None else seconds
            found += [] if seconds is None else [seconds]
    return min(_LONGEST, max(found)) if found else None


def _values(headers: MultiMapping[str], name: str) -> list[str]:
    """Return the values of a header, which a proxy may have joined with commas."""
    values = []
    for text in headers.getall(name, []):
        parts = [part.strip() for part in text.split(",")]
        numbers = [part for part in parts if _NUMBER.fullmatch(part)]
        values += numbers or [text.strip()]
    return values


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _until(text: str, dates: list[str]) -> float | None:
    """Return the seconds until the date `text`, by the clock of the service if it sent its own."""
    try:
        when = parsedate_to_datetime(text)
        now = parsedate_to_datetime(dates[0]) if dates else datetime.now(UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # no date, or only one of the two has a time zone
