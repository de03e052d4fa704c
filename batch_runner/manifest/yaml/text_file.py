"""Read a text file: size, encoding and characters are checked before YAML sees it."""

from __future__ import annotations

import re
from pathlib import Path

from batch_runner.manifest.diagnostics import Diagnostics, Location
from batch_runner.util.locale import tr

MAX_BYTES = 64_000_000
#: Forbidden characters that are reported.
_REPORTED = 20

# NEL and the Unicode separators are line ends in YAML, but not in editors: the line numbers of
# messages would be wrong.
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)"
)

_PLAIN = b"\t\n" + bytes(range(32, 127))


def read_text(path: Path, label: str, diagnostics: Diagnostics) -> str | None:
    """Return the file's text, None if it cannot be read or is not valid text."""
    data = read_content(path, label, diagnostics)
    return None if data is None else decode(data, label, diagnostics)


def read_content(path: Path, label: str, diagnostics: Diagnostics) -> bytes | None:
    """Return the bytes of a regular file, None if it cannot be read or is too large."""
    try:
        if not path.is_file():
            what = tr("this is a folder") if path.is_dir() else tr("there is no such file")
            diagnostics.add(
                Location(label),
                what if path.is_dir() or not path.exists() else tr("this is not a regular file"),
            )
            return None
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        diagnostics.add(Location(label), tr("the file cannot be read: {reason}", reason=reason))
        return None
    if len(data) > MAX_BYTES:
        diagnostics.add(
            Location(label),
            tr("the file is larger than {max_bytes} MB", max_bytes=MAX_BYTES // 1_000_000),
            hint=tr("put long lists into a text or CSV file and name it under prompts_from"),
        )
        return None
    return data


def decode(data: bytes, label: str, diagnostics: Diagnostics) -> str | None:
    """Return UTF-8 bytes as text, None if they are not UTF-8 or contain control characters."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig", errors="replace")
        diagnostics.add(
            _location(label, good, len(good)),
            tr("byte 0x{data:02x} is not UTF-8", data=data[error.start]),
            hint=tr("save the file with the encoding UTF-8"),
        )
        return None
    suspect = data.translate(None, _PLAIN)  # quick: empty for most files
    marks = list(_FORBIDDEN.finditer(text))[:_REPORTED] if suspect else []
    for mark in marks:
        code = ord(mark[0][0])
        diagnostics.add(
            _location(label, text, mark.start()),
            tr("the control character U+{code:04X} is not allowed in a manifest", code=code),
            hint=tr('remove it, or write it as "\\u{code:04x}" in double quotes', code=code),
        )
    return None if marks else text


def _location(label: str, text: str, index: int) -> Location:
    line = text.count("\n", 0, index) + 1
    return Location(label, line, index - (text.rfind("\n", 0, index) + 1) + 1)
