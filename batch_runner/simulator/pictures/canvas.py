"""A sheet to draw on, in units that do not depend on its size in pixels.

Every sheet is 640 units wide; `height` follows from its proportions. It is drawn at twice the size
and reduced at the end, which is all the smoothing that shapes need.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from functools import lru_cache

from PIL import Image, ImageDraw

from batch_runner.simulator.pictures.colours import Colour, Ink

WIDTH = 640.0
OVERSAMPLING = 2

Point = tuple[float, float]


class Canvas:
    """A sheet of `size` pixels, and the random numbers for what is drawn on it."""

    def __init__(self, size: tuple[int, int], rng: random.Random) -> None:
        self.rng = rng
        self.height = WIDTH * size[1] / size[0]
        self._scale = OVERSAMPLING * size[0] / WIDTH
        self._image = Image.new("RGB", (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING), None)
        self._pen = ImageDraw.Draw(self._image, "RGBA")

    def gradient(self, *colours: Colour) -> None:
        """Fill the whole sheet from top to bottom with a gradient of `colours`."""
        strip = Image.new("RGB", (1, len(colours)))
        for place, colour in enumerate(colours):
            strip.putpixel((0, place), colour)
        # Stretch from the middles of the end pixels, so that the end colours are reached.
        box = (0, 0.5, 1, len(colours) - 0.5)
        column = strip.resize((1, self._image.height), Image.Resampling.BILINEAR, box=box)
        self._image = column.resize(self._image.size, Image.Resampling.NEAREST)
        self._pen = ImageDraw.Draw(self._image, "RGBA")

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Draw light of `colour` that fades out from a point; strength 0 to 1."""
        side = round(2 * radius * self._scale)
        mask = _radiance(round(255 * strength)).resize((side, side), Image.Resampling.BILINEAR)
        place = (round((x - radius) * self._scale), round((y - radius) * self._scale))
        self._image.paste(colour, (*place, place[0] + side, place[1] + side), mask)

    def shape(self, points: Iterable[Point], fill: Colour | Ink) -> None:
        """Fill a polygon."""
        scaled = [(x * self._scale, y * self._scale) for x, y in points]
        self._pen.polygon(scaled, fill=fill)

    def line(self, points: Sequence[Point], fill: Colour | Ink, width: float = 1.0) -> None:
        """Draw a line through `points`, with round joints where it is thick."""
        scaled = [(x * self._scale, y * self._scale) for x, y in points]
        self._pen.line(scaled, fill=fill, width=max(1, round(width * self._scale)), joint="curve")

    def dot(self, x: float, y: float, radius: float, fill: Colour | Ink) -> None:
        """Fill a circle."""
        self.oval(x, y, radius, radius, fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour | Ink) -> None:
        """Fill an ellipse."""
        self._pen.ellipse(self._box(x - rx, y - ry, x + rx, y + ry), fill=fill)

    def ring(self, x: float, y: float, radius: float, colour: Colour | Ink, width: float) -> None:
        """Draw a circle."""
        box = self._box(x - radius, y - radius, x + radius, y + radius)
        self._pen.ellipse(box, outline=colour, width=max(1, round(width * self._scale)))

    def arc(
        self, x: float, y: float, radius: float, angles: Point, colour: Colour | Ink, width: float
    ) -> None:
        """Draw part of a circle, from and to `angles` in degrees, clockwise from the right."""
        box = self._box(x - radius, y - radius, x + radius, y + radius)
        self._pen.arc(box, *angles, fill=colour, width=max(1, round(width * self._scale)))

    def panel(
        self,
        box: tuple[float, float, float, float],
        radius: float,
        fill: Colour | Ink | None,
        edge: tuple[Colour | Ink, float] | None = None,
    ) -> None:
        """Fill a rectangle with round corners; `edge` is its colour and width."""
        outline, width = (None, 0.0) if edge is None else edge
        self._pen.rounded_rectangle(
            self._box(*box),
            radius * self._scale,
            fill=fill,
            outline=outline,
            width=max(1, round(width * self._scale)) if edge else 0,
        )

    def ridge(self, base: float, rise: float, roughness: float = 1.0) -> list[Point]:
        """Return a skyline around `base`, `rise` high, closed along the bottom of the sheet."""
        waves = [
            (self.rng.uniform(0.6, 1.4) * n, self.rng.uniform(0, math.tau), n**-roughness)
            for n in (1, 2, 3.7, 7.1, 13.3)
        ]
        total = sum(weight for _, _, weight in waves)
        top = []
        for step in range(81):
            x = WIDTH * step / 80
            wave = sum(
                weight * math.sin(turns * math.tau * x / WIDTH + phase)
                for turns, phase, weight in waves
            )
            top.append((x, base - rise * (0.5 + 0.5 * wave / total * 1.6)))
        return [(0.0, self.height), *top, (WIDTH, self.height)]

    def repeat_disc(self, x: float, y: float, radius: float, places: Iterable[float]) -> None:
        """Copy the content of a circle to the x coordinates `places`, at the same height."""
        box = [round(edge) for edge in self._box(x - radius, y - radius, x + radius, y + radius)]
        disc = self._image.crop((box[0], box[1], box[2], box[3]))
        mask = Image.new("L", disc.size)
        ImageDraw.Draw(mask).ellipse((0, 0, disc.width - 1, disc.height - 1), fill=255)
        for place in places:
            self._image.paste(disc, (round((place - radius) * self._scale), box[1]), mask)

    def finish(self) -> Image.Image:
        """Return the sheet at its real size."""
        return self._image.reduce(OVERSAMPLING)

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, ...]:
        return x0 * self._scale, y0 * self._scale, x1 * self._scale, y1 * self._scale


@lru_cache(64)
def _radiance(strength: int) -> Image.Image:
    """Return a disc that is brightest in the middle and black at its rim."""
    # Squared, because linear fading has a visible edge.
    return _DISTANCE.point(lambda away: round(strength * (max(0, _RIM - away) / _RIM) ** 2))


# Pillow's gradient is 256 wide and reaches 255 in the corners, so 181 where the circle ends.
_DISTANCE = Image.radial_gradient("L")
_RIM = 180


def smooth(points: Sequence[Point], steps: int = 6) -> list[Point]:
    """Return a closed curve through `points` (Catmull-Rom)."""
    curve: list[Point] = []
    count = len(points)
    for i in range(count):
        p0, p1, p2, p3 = (points[(i + k - 1) % count] for k in range(4))
        curve += [_between(p0, p1, p2, p3, step / steps) for step in range(steps)]
    return curve


def _between(p0: Point, p1: Point, p2: Point, p3: Point, t: float) -> Point:
    def axis(a: float, b: float, c: float, d: float) -> float:
        bend = (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3
        return 0.5 * (2 * b + (c - a) * t + bend)

    return axis(p0[0], p1[0], p2[0], p3[0]), axis(p0[1], p1[1], p2[1], p3[1])


def around(x: float, y: float, radius: float, angle: float) -> Point:
    """Return the point at `angle` (radians) and `radius` around a centre."""
    return x + radius * math.cos(angle), y + radius * math.sin(angle)
