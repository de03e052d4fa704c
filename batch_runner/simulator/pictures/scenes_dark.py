"""Dark scenes: moon and mountains, fireworks, snow."""

from __future__ import annotations

import math

from batch_runner.simulator.pictures.canvas import WIDTH, Canvas, around
from batch_runner.simulator.pictures.colours import Colour, mix, rgb, sheer
from batch_runner.simulator.pictures.horse import HorseSpot
from batch_runner.simulator.pictures.lettering import TextArea

CREAM = rgb("fff4dc")
WHITE = rgb("ffffff")


def moon_and_mountains(canvas: Canvas) -> TextArea:
    """Ranges of mountains under a large moon; words on the nearest slope."""
    rng, height = canvas.rng, canvas.height
    sky, haze, near = rng.choice(
        [
            (rgb("14213d"), rgb("7d8fb3"), rgb("0b1426")),
            (rgb("2b1b47"), rgb("d98c9a"), rgb("1a1030")),
            (rgb("0d3b4a"), rgb("9ccfc4"), rgb("06222b")),
            (rgb("3d1f3a"), rgb("f2b880"), rgb("24101f")),
        ]
    )
    canvas.gradient(sky, mix(sky, haze, 0.35), haze)
    _stars(canvas, 90, height * 0.5)
    x, y = rng.uniform(170, 470), height * rng.uniform(0.2, 0.3)
    radius = rng.uniform(70, 105)
    canvas.glow(x, y, radius * 3, CREAM, 0.55)
    canvas.dot(x, y, radius, CREAM)
    for _ in range(5):
        crater = around(x, y, rng.uniform(0.1, 0.65) * radius, rng.uniform(0, math.tau))
        canvas.dot(*crater, radius * rng.uniform(0.08, 0.2), sheer(rgb("e8d8b4"), 0.6))
    for layer in range(5):
        share = layer / 4
        base = height * (0.5 + 0.115 * layer)
        canvas.shape(
            canvas.ridge(base, 120 - 14 * layer, 0.9), mix(haze, near, 0.15 + 0.85 * share)
        )
        if layer < 3:
            canvas.glow(rng.uniform(0, WIDTH), base + 50, 240, haze, 0.35)
    horse = HorseSpot(x, y + radius * 0.66, radius * 1.8, near, CREAM)
    return TextArea((70, height * 0.74, 570, height - 60), CREAM, largest=44, horse=horse)


def fireworks(canvas: Canvas) -> TextArea:
    """Bursts over a dark skyline; words below."""
    rng, height = canvas.rng, canvas.height
    sky, dusk = rng.choice(
        [
            (rgb("0b1030"), rgb("3a2a6b")),
            (rgb("1b0b2e"), rgb("7a2748")),
            (rgb("04141f"), rgb("17535f")),
        ]
    )
    canvas.gradient(sky, sky, dusk)
    _stars(canvas, 60, height * 0.7)
    colours = [rgb("ffd166"), rgb("ef476f"), rgb("8be9fd"), rgb("f9f1d0"), rgb("ff9f6e")]
    rng.shuffle(colours)
    places = [(180, 0.2, 130), (455, 0.27, 150), (300, 0.46, 105), (540, 0.52, 75), (95, 0.5, 80)]
    for (x, y, size), colour in zip(places, colours, strict=True):
        _burst(canvas, x + rng.uniform(-25, 25), y * height, size, colour)
    _roofs(canvas, height * 0.78, mix(sky, rgb("000000"), 0.35))
    horse = HorseSpot(320, height * 0.76, 210, rgb("f2c14e"), sky, rgb("f7e3a1"))
    return TextArea((70, height * 0.81, 570, height - 55), CREAM, largest=40, horse=horse)


def _burst(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    canvas.glow(x, y, size * 1.3, colour, 0.4)
    rays = canvas.rng.choice((18, 22, 26))
    for ray in range(rays):
        angle = math.tau * ray / rays
        for ring, reach in enumerate((1.0, 0.66)):
            turned = angle + ring * math.pi / rays
            # Sparks fall, so the outer ones are lower.
            path = [around(x, y, size * reach * t, turned) for t in (0.25, 0.5, 0.75, 1.0)]
            path = [(px, py + 14 * (i / 3) ** 2) for i, (px, py) in enumerate(path)]
            canvas.line(path, sheer(mix(colour, WHITE, 0.25 * ring), 0.85), 1.8)
            canvas.dot(*path[-1], 3.2 - ring, mix(colour, WHITE, 0.5))
    canvas.dot(x, y, 5, WHITE)


def _roofs(canvas: Canvas, base: float, dark: Colour) -> None:
    x = -20.0
    while x < WIDTH:
        width, rise = canvas.rng.uniform(60, 120), canvas.rng.uniform(15, 75)
        top, middle = base - rise, x + width / 2
        canvas.shape([(x, base), (x, top), (x + width, top), (x + width, base)], dark)
        eaves = [
            (x - 14, top + 2),
            (x + 10, top - 6),
            (middle, top - 30),
            (x + width - 10, top - 6),
        ]
        canvas.shape([*eaves, (x + width + 14, top + 2)], dark)
        for window in range(int(width // 26)):
            if canvas.rng.random() < 0.6 and rise > 28:
                left = x + 12 + 26 * window
                canvas.panel((left, top + 12, left + 9, top + 24), 1, sheer(rgb("ffc96b"), 0.9))
        x += width
    canvas.shape([(0, base), (WIDTH, base), (WIDTH, canvas.height), (0, canvas.height)], dark)


def snow(canvas: Canvas) -> TextArea:
    """Firs and a lit house in falling snow; words in the sky."""
    rng, height = canvas.rng, canvas.height
    sky, glow, fir = rng.choice(
        [
            (rgb("20385c"), rgb("a8bfd8"), rgb("14303a")),
            (rgb("3a3560"), rgb("e5b8c4"), rgb("1f2547")),
            (rgb("134e5e"), rgb("b7d9d0"), rgb("0e3a35")),
        ]
    )
    canvas.gradient(sky, mix(sky, glow, 0.45), glow)
    ground = height * 0.74
    canvas.shape(canvas.ridge(ground - 10, 90), mix(glow, WHITE, 0.35))
    for depth in (0.45, 0.75, 1.0):
        for _ in range(9):
            x, base = rng.uniform(-10, WIDTH + 10), ground + 70 * depth * depth + 20
            if abs(x - 330) > 75 * depth:
                _fir(canvas, x, base, rng.uniform(95, 150) * depth, mix(glow, fir, depth))
    canvas.shape(canvas.ridge(ground + 70, 45, 1.4), mix(WHITE, glow, 0.12))
    _house(canvas, 330, ground + 62)
    canvas.shape(canvas.ridge(ground + 120, 40, 1.6), WHITE)
    for _ in range(170):
        flake = rng.uniform(1.0, 3.6)
        canvas.dot(rng.uniform(0, WIDTH), rng.uniform(0, height), flake, sheer(WHITE, 0.85))
    horse = HorseSpot(158, ground + 122, 190, rgb("5a3325"), rgb("f3dcb8"), rgb("2e1a14"))
    words = mix(sky, glow, 0.15)
    return TextArea((70, 60, 570, height * 0.42), WHITE, halo=words, horse=horse)


def _fir(canvas: Canvas, x: float, base: float, size: float, colour: Colour) -> None:
    for step in range(4):
        top = base - size + step * size * 0.2
        half = size * (0.13 + 0.075 * step)
        bottom = top + size * 0.4
        canvas.shape([(x, top), (x + half, bottom), (x - half, bottom)], colour)
        cap = [(x, top), (x + half * 0.45, top + size * 0.18), (x - half * 0.3, top + size * 0.15)]
        canvas.shape(cap, sheer(WHITE, 0.75))


def _house(canvas: Canvas, x: float, base: float) -> None:
    wall, roof = rgb("6b3b2e"), rgb("fdfdfd")
    canvas.glow(x, base - 30, 130, rgb("ffcf7a"), 0.5)
    canvas.panel((x - 48, base - 58, x + 48, base + 20), 2, wall)
    canvas.shape([(x - 68, base - 52), (x, base - 112), (x + 68, base - 52)], roof)
    canvas.shape([(x - 46, base - 56), (x, base - 96), (x + 46, base - 56)], mix(wall, roof, 0.1))
    for left in (x - 36, x + 8):
        canvas.panel((left, base - 44, left + 28, base - 14), 2, rgb("ffd98a"))
        canvas.line([(left + 14, base - 44), (left + 14, base - 14)], wall, 2)
        canvas.line([(left, base - 29), (left + 28, base - 29)], wall, 2)


def _stars(canvas: Canvas, count: int, lowest: float) -> None:
    rng = canvas.rng
    for _ in range(count):
        size = rng.uniform(0.6, 1.9)
        canvas.dot(rng.uniform(0, WIDTH), rng.uniform(0, lowest), size, sheer(CREAM, rng.random()))
