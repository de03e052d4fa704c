"""Read the lines of a data file in its encoding, one at a time.

An encoding is never guessed: the prompts, and so the keys of items, would change with the guess. A
byte order mark counts; otherwise the encoding is UTF-8, or the one that `encoding` gives. For other
files the message says which encoding they seem to have.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from batch_runner.manifest.diagnostics import excerpt
from batch_runner.manifest.schema_types import ENCODINGS
from batch_runner.util.locale import tr

#: Longest line of a data file, in bytes.
MAX_LINE = 1_000_000
#: Bytes at the start that are examined for the encoding and the line ends.
_SAMPLE = 100_000

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: Characters without a meaning, which a wrong encoding gives.
_PRIVATE = re.compile("[\ue000-\uf8ff\ufffe\uffff]")
#: Hiragana, which text in another encoding seldom decodes to.
_KANA = re.compile("[\u3041-\u3096]")
#: Encodings that are considered for a file that is not UTF-8.
_LIKELY = ("gb18030", "big5", "cp932", "cp949", "cp1250", "cp1251", "cp1252")


class UnreadableError(Exception):
    """The file cannot be read further: message, line, hint and column."""

    def __init__(
        self, message: str, line: int = 1, hint: str | None = None, column: int = 1
    ) -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint
        self.column = column


def lines_of(path: Path, encoding: str | None = None) -> Iterator[str]:
    """Yield the lines of a file one at a time, with LF as line ends.

    Raises:
        UnreadableError: the file does not exist, or a line is too long or not in the encoding.
    """
    if not path.is_file():
        raise UnreadableError(tr("there is no such file"))
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
        file.seek(0)
        codec = _codec(sample, encoding)
        if codec != "utf-8-sig" or (b"\r" in sample and b"\n" not in sample):
            yield from _decoded(file, codec, encoding)
        else:
            yield from _utf8(file, sample)


def _codec(sample: bytes, encoding: str | None) -> str:
    marked = next((codec for mark, codec in _MARKS.items() if sample.startswith(mark)), None)
    return marked or ENCODINGS.get(encoding or "utf-8", "utf-8-sig")


def _utf8(file: io.BufferedReader, sample: bytes) -> Iterator[str]:
    """Yield the lines of UTF-8; each line is decoded alone, so that errors have its number."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        _check_length(len(line), number)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            _refuse_byte(line[error.start], number, sample)
        if "\0" in text:
            _refuse_nul(number, sample)
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            if text.count("\n") > 1:
                yield from text.splitlines(keepends=True)
                continue
        yield text


def _decoded(file: io.BufferedReader, codec: str, encoding: str | None) -> Iterator[str]:
    """Yield the lines of a file in any encoding, with any line ends."""
    text = io.TextIOWrapper(file, encoding=codec, newline=None)
    number = 0
    try:
        while line := text.readline(MAX_LINE + 1):
            number += 1
            _check_length(len(line), number)
            if "\0" in line:
                _refuse_nul(number, b"")
            if _PRIVATE.search(line):
                raise UnicodeError
            yield line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError:
        message = tr("the text at or after this line is not {encoding}", encoding=encoding or codec)
        hint = tr(
            "write its encoding as encoding: beside the name of the file, or save the file as UTF-8"
        )
        raise UnreadableError(message, max(1, number), hint) from None
    finally:
        text.detach()


def _check_length(length: int, number: int) -> None:
    if length > MAX_LINE:
        raise UnreadableError(
            tr("this line has more than {max_line} bytes", max_line=MAX_LINE), number
        )


def _refuse_byte(byte: int, number: int, sample: bytes) -> NoReturn:
    message = tr("byte 0x{byte:02x} in this line is not UTF-8", byte=byte)
    raise UnreadableError(message, number, _encoding_hint(sample))


def _refuse_nul(number: int, sample: bytes) -> NoReturn:
    raise UnreadableError(tr("this line contains a NUL byte"), number, _encoding_hint(sample))


def _encoding_hint(sample: bytes) -> str:
    """Return the hint which encodings the file may have, with a piece of it in each."""
    save = tr("save the file as UTF-8 (in a spreadsheet: CSV UTF-8)")
    guesses = [
        tr("if {text} is right, write encoding: {encoding}", text=excerpt(text), encoding=encoding)
        for encoding, text in _guesses(sample).items()
    ]
    if not guesses:
        return save
    beside = tr("{guesses}, beside the name of the file", guesses=tr("; ").join(guesses))
    return tr("{beside}; or {save}", beside=beside, save=save)


def _guesses(sample: bytes) -> dict[str, str]:
    """Return the likely encodings, each with the first words with other letters than ASCII."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd > len(sample) // 8:
        encoding = "utf-16-le" if odd > even else "utf-16-be"
        text = sample[: len(sample) // 2 * 2].decode(encoding, "replace")
        return {encoding: _telling(text)}
    if sample.isascii():
        return {}
    from charset_normalizer import from_bytes  # slow to import

    best = from_bytes(sample, cp_isolation=[*_LIKELY], enable_fallback=False).best()
    names = {codecs.lookup(name).name: name for name in _LIKELY}
    likely = [names.get(codecs.lookup(best.encoding).name, "")] if best else []
    if _KANA.search(sample.decode("cp932", "ignore")):
        likely.insert(0, "cp932")
    found: dict[str, str] = {}
    for encoding in filter(None, [*likely, "gb18030", "big5"]):
        # The sample may end in the middle of a character.
        text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
        if "\N{REPLACEMENT CHARACTER}" not in text:
            found.setdefault(encoding, _telling(text))
    return found


def _telling(text: str) -> str:
    """Return the first line with a letter that is not ASCII."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if not line.isascii()), text.strip()[:60])
