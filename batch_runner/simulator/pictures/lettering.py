"""The text on a card: wrapped, as large as its area allows, in any script."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

from PIL import ImageDraw

from batch_runner.simulator.pictures.colours import Colour
from batch_runner.simulator.pictures.fonts import font_file_for, load
from batch_runner.simulator.pictures.horse import HorseSpot

Box = tuple[float, float, float, float]

LARGEST, SMALLEST = 54, 15  # units
LEADING = 1.32  # line height by font size
LONGEST = 600  # characters that are drawn


@dataclass(frozen=True, slots=True)
class TextArea:
    """Where a scene has room for text, in units of the canvas, and the colours of text and halo.

    On a card with a horse the text is in `box_with_horse`, if that is not None.
    """

    box: Box
    colour: Colour
    halo: Colour | None = None
    largest: float = LARGEST
    horse: HorseSpot | None = None
    box_with_horse: Box | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """Characters of one font; `file` is False if no font has them."""

    text: str
    file: str | bool | None

    def width(self, size: int) -> float:
        if isinstance(self.file, bool):
            return size * 1.05 * len(self.text)
        return load(self.file, size).getlength(self.text)


@dataclass(frozen=True, slots=True)
class _Word:
    """Text without a line break; `glued` means without a space before it."""

    runs: tuple[_Run, ...]
    glued: bool = False

    def width(self, size: int) -> float:
        return sum(run.width(size) for run in self.runs)


def write(pen: ImageDraw.ImageDraw, text: str, area: TextArea, scale: float) -> None:
    """Write `text` into `area`, centred, with `scale` pixels per unit."""
    words = _words(text[:LONGEST])
    x0, y0, x1, y1 = (edge * scale for edge in area.box)
    size, lines = _fit(words, x1 - x0, y1 - y0, scale, area.largest)
    step = size * LEADING
    top = (y0 + y1 - step * len(lines)) / 2
    for number, line in enumerate(lines):
        left = (x0 + x1 - _line_width(line, size)) / 2
        _write_line(pen, line, (left, top + number * step), size, area)


def _words(text: str) -> list[_Word]:
    words: list[_Word] = []
    for chunk in text.split():
        glued = False
        for part in _breakable(chunk):
            shown = "".join(c for c in part if unicodedata.category(c)[0] not in "CM")
            if shown:
                words.append(_Word(_runs(shown), glued))
                glued = True
    return words or [_Word(_runs("…"))]


def _breakable(chunk: str) -> list[str]:
    """Return the parts of `chunk` between which a line may end: every wide character is one."""
    parts: list[str] = []
    joined = False
    for character in chunk:
        wide = unicodedata.east_asian_width(character) in "WF"
        closing = unicodedata.category(character) in ("Pe", "Pf", "Po")
        if parts and (closing or (joined and not wide)):
            parts[-1] += character
        else:
            parts.append(character)
        joined = not wide
    return [piece for part in parts for piece in _split_long(part)]


def _split_long(word: str, longest: int = 24) -> list[str]:
    return [word[start : start + longest] for start in range(0, len(word), longest)]


def _runs(text: str) -> tuple[_Run, ...]:
    runs: list[_Run] = []
    for character in text:
        file = font_file_for(character)
        if runs and runs[-1].file == file:
            runs[-1] = _Run(runs[-1].text + character, file)
        else:
            runs.append(_Run(character, file))
    return tuple(runs)


def _fit(
    words: list[_Word], width: float, height: float, scale: float, largest: float
) -> tuple[int, list[list[_Word]]]:
    """Return the largest size at which the words fit, and the lines; cut what does not fit."""
    low, high = round(SMALLEST * scale), round(largest * scale)
    size = low
    while low <= high:
        middle = (low + high) // 2
        if _fits(words, middle, width, height):
            size, low = middle, middle + 1
        else:
            high = middle - 1
    lines = _wrap(words, width, size)
    room = max(1, int(height / (size * LEADING)))
    if len(lines) > room:
        lines = [*lines[: room - 1], [*lines[room - 1][:-1], _Word(_runs("…"))]]
    return size, lines


def _fits(words: list[_Word], size: int, width: float, height: float) -> bool:
    if any(word.width(size) > width for word in words):
        return False
    return len(_wrap(words, width, size)) * size * LEADING <= height


def _wrap(words: list[_Word], width: float, size: int) -> list[list[_Word]]:
    lines: list[list[_Word]] = [[]]
    used = 0.0
    for word in words:
        needed = word.width(size) + (0 if word.glued or not lines[-1] else _space(size))
        if lines[-1] and used + needed > width:
            lines.append([])
            used, needed = 0.0, word.width(size)
        lines[-1].append(word)
        used += needed
    return lines


def _space(size: int) -> float:
    return size * 0.28


def _line_width(line: list[_Word], size: int) -> float:
    gaps = sum(_space(size) for word in line[1:] if not word.glued)
    return gaps + sum(word.width(size) for word in line)


def _write_line(
    pen: ImageDraw.ImageDraw,
    line: list[_Word],
    at: tuple[float, float],
    size: int,
    area: TextArea,
) -> None:
    x, y = at
    for position, word in enumerate(line):
        if position and not word.glued:
            x += _space(size)
        for run in word.runs:
            _write_run(pen, run, (x, y), size, area)
            x += run.width(size)


def _write_run(
    pen: ImageDraw.ImageDraw, run: _Run, at: tuple[float, float], size: int, area: TextArea
) -> None:
    x, y = at
    if isinstance(run.file, bool):
        for number, character in enumerate(run.text):
            _mark(pen, character, x + number * size * 1.05, y + size * 0.2, size * 0.92, area)
        return
    halo = {} if area.halo is None else {"stroke_width": 2, "stroke_fill": area.halo}
    # All fonts of one line share a baseline.
    font = load(run.file, size)
    pen.text((x, y + size), run.text, fill=area.colour, font=font, anchor="ls", **halo)  # type: ignore[arg-type]  # both are what text() takes


def _mark(
    pen: ImageDraw.ImageDraw, character: str, x: float, y: float, side: float, area: TextArea
) -> None:
    """Draw a mark for a character that no font has; the same for the same character."""
    rng = random.Random(ord(character))
    width = max(1, round(side / 11))
    columns = sorted(rng.sample((0.15, 0.38, 0.62, 0.85), 2))
    rows = sorted(rng.sample((0.08, 0.3, 0.52, 0.74, 0.95), 3))
    for row in rows:
        ends = rng.choice(((0.05, 0.95), (columns[0], columns[1]), (0.05, columns[1])))
        y_row = y + row * side
        pen.line((x + ends[0] * side, y_row, x + ends[1] * side, y_row), area.colour, width)
    for column in columns:
        top, bottom = rng.choice(((rows[0], rows[2]), (rows[0], 1.0), (rows[1], 1.0)))
        x_column = x + column * side
        pen.line((x_column, y + top * side, x_column, y + bottom * side), area.colour, width)
