"""Text that came from outside, made fit for a terminal, a log or a table."""

from __future__ import annotations

import re

# Control characters (escape sequences among them), line and paragraph separators, and the marks
# that reorder what follows them.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def printable(text: str, limit: int = 200) -> str:
    """Return `text` on one line without control characters, cut to `limit` characters."""
    clean = _UNPRINTABLE.sub(" ", text[: limit * 4]).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def duration(seconds: float) -> str:
    """Return seconds for people: "4 s", "6 min 12 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
