"""Colours, opaque and translucent."""

from __future__ import annotations

Colour = tuple[int, int, int]
Ink = tuple[int, int, int, int]


def rgb(text: str) -> Colour:
    """Return the colour written as six hex digits."""
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` with `share` (0 to 1) of `second` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def sheer(colour: Colour, opacity: float) -> Ink:
    """Return `colour` with an opacity of 0 to 1."""
    return (*colour, round(255 * opacity))
