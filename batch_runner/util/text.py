"""Text for terminals, logs and tables: printable, of known width; durations and times."""

from __future__ import annotations

import json
import re
import time
import unicodedata

from batch_runner.util.locale import current_language

#: Content of a regular expression's character class: control characters (with which terminal escape
#: sequences start), line and paragraph separators, marks that reorder text, and lone surrogates.
CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{CONTROLS}]+")

json_text = json.JSONEncoder(ensure_ascii=False).encode


def printable(text: str, limit: int = 200) -> str:
    """Return `text` on one line without control characters, cut to `limit` characters."""
    clean = _UNPRINTABLE.sub(" ", text[: limit * 4]).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def replace_lone_surrogates(text: str) -> str:
    """Return `text` with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def error_reason(error: BaseException) -> str:
    """Return why something failed; for an OSError without the path, which the caller names."""
    return str(getattr(error, "strerror", None) or error)


def duration(seconds: float) -> str:
    """Return seconds as "0.4 s", "45 s", "6 min 05 s" or "2 h 05 min", in the current language.

    Keep `span` in `report/static/words.js` the same.
    """
    chinese = current_language() == "zh"
    hour, minute, second = ("小时", "分", "秒") if chinese else ("h", "min", "s")
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} {second}"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} {second}"
    if rounded < 3600:
        return f"{rounded // 60} {minute} {rounded % 60:02d} {second}"
    return f"{rounded // 3600} {hour} {rounded % 3600 // 60:02d} {minute}"


def date_time(moment: float | None) -> str:
    """Return Unix seconds as local date and time, "?" for None."""
    return _local(moment, "%Y-%m-%d %H:%M:%S")


def utc_offset(moment: float | None) -> str:
    """Return the offset of local time from UTC at a moment (None: now), such as UTC+0800."""
    return time.strftime("UTC%z", time.localtime(moment))


def time_of_day(moment: float | None) -> str:
    """Return Unix seconds as local time without the date, "?" for None."""
    return _local(moment, "%H:%M:%S")


def _local(moment: float | None, form: str) -> str:
    return "?" if moment is None else time.strftime(form, time.localtime(moment))


def is_spreadsheet(path: str) -> bool:
    """Return whether the file at `path` has cells instead of lines."""
    return path.lower().endswith(".xlsx")


def cell_address(line: int, column: int) -> str:
    """Return the address of a cell in a spreadsheet, such as B7; both count from 1.

    Column 0 is the whole row, such as 7.
    """
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{line}"


def width(text: str) -> int:
    """Return how many terminal cells `text` takes; a Chinese character takes two."""
    return sum(map(_cells, text))


def fitted(text: str, cells: int) -> str:
    """Return `text` cut or padded with spaces to this many terminal cells."""
    if (spare := cells - width(text)) >= 0:
        return text + " " * spare
    kept, left = "", cells - 1
    for character in text:
        if (left := left - _cells(character)) < 0:
            break
        kept += character
    return fitted(kept + "…", cells)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
