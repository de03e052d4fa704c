"""Paper scenes: cut lanterns, ink hills, a blossoming branch."""

from __future__ import annotations

import math

from batch_runner.simulator.pictures.canvas import WIDTH, Canvas, Point, around
from batch_runner.simulator.pictures.colours import Colour, mix, rgb, sheer
from batch_runner.simulator.pictures.horse import HorseSpot
from batch_runner.simulator.pictures.lettering import TextArea

GOLD = rgb("f4c95d")
WHITE = rgb("ffffff")


def lanterns(canvas: Canvas) -> TextArea:
    """Paper lanterns on strings over cut clouds; words between them."""
    rng, height = canvas.rng, canvas.height
    deep, light, paper = rng.choice(
        [
            (rgb("8c1420"), rgb("c9302c"), rgb("e0453a")),
            (rgb("7a1f3d"), rgb("c2405a"), rgb("e8606a")),
            (rgb("123c4a"), rgb("1f6a70"), rgb("e2583e")),
            (rgb("f7e6c8"), rgb("f3d3a5"), rgb("d63a2f")),
        ]
    )
    canvas.gradient(deep, light)
    canvas.glow(WIDTH / 2, height * 0.55, 330, mix(light, rgb("ffe3a8"), 0.6), 0.55)
    for x, y, size in ((105, 0.2, 56), (245, 0.1, 40), (395, 0.15, 48), (540, 0.2, 60)):
        drop = (y + rng.uniform(-0.03, 0.05)) * height
        _lantern(canvas, x + rng.uniform(-14, 14), drop, size * rng.uniform(0.9, 1.1), paper)
    for layer in range(3):
        tone = mix(deep, paper, 0.2 + 0.25 * layer)
        _clouds(canvas, height * (0.83 + 0.065 * layer), 52 - 6 * layer, tone)
    bright = sum(deep) > 480
    words = rgb("7d1a16") if bright else rgb("ffe9b8")
    horse = HorseSpot(320, height * 0.83, 265, mix(GOLD, paper, 0.1), deep, rgb("ffe3a0"))
    if bright:
        horse = HorseSpot(320, height * 0.83, 265, paper, rgb("ffe9c4"), rgb("9c1f1a"))
    upper = (75, height * 0.4, 565, height * 0.57)
    return TextArea(
        (75, height * 0.43, 565, height * 0.76), words, horse=horse, box_with_horse=upper
    )


def _lantern(canvas: Canvas, x: float, y: float, size: float, paper: Colour) -> None:
    canvas.line([(x, 0), (x, y - size)], sheer(GOLD, 0.9), 1.5)
    canvas.glow(x, y, size * 2.1, rgb("ffcf70"), 0.5)
    canvas.oval(x, y, size, size * 0.84, paper)
    for share in (0.72, 0.4):
        tone = mix(paper, rgb("ffd47a"), 0.55 - 0.5 * share)
        canvas.oval(x, y, size * share, size * 0.84, tone)
    canvas.oval(x, y, size * 0.1, size * 0.84, rgb("ffd88a"))
    for end in (-1, 1):
        edge = y + end * size * 0.82
        canvas.panel((x - size * 0.36, edge - 5, x + size * 0.36, edge + 5), 3, GOLD)
    canvas.line([(x, y + size * 0.85), (x, y + size * 1.1)], GOLD, 2)
    for strand in range(-3, 4):
        tip = (x + strand * 3.2, y + size * 1.75 - abs(strand) * 3)
        canvas.line([(x + strand * 1.2, y + size * 1.1), tip], GOLD, 1.6)
    canvas.dot(x, y + size * 1.12, 5, mix(GOLD, paper, 0.4))


def _clouds(canvas: Canvas, y: float, size: float, tone: Colour) -> None:
    """Draw a bank of cut-paper clouds with a swirl in each."""
    x = canvas.rng.uniform(-60, -10)
    edge = mix(tone, GOLD, 0.55)
    canvas.shape([(0, y), (WIDTH, y), (WIDTH, canvas.height), (0, canvas.height)], tone)
    while x < WIDTH + size:
        radius = size * canvas.rng.uniform(0.75, 1.15)
        canvas.dot(x, y + 6, radius, tone)
        canvas.arc(x, y + 6, radius, (180, 360), edge, 2)
        canvas.arc(x, y + 6, radius * 0.62, (150, 400), edge, 2)
        canvas.arc(x + radius * 0.1, y + 8, radius * 0.3, (20, 300), edge, 2)
        x += radius * 1.55


def ink_hills(canvas: Canvas) -> TextArea:
    """Hills in ink wash with a red sun and birds; words in the open sky."""
    rng, height = canvas.rng, canvas.height
    paper, ink, sun = rng.choice(
        [
            (rgb("f6efe0"), rgb("2f3e46"), rgb("d1412f")),
            (rgb("f2eee6"), rgb("3a3530"), rgb("c8402e")),
            (rgb("eef2ea"), rgb("24443f"), rgb("e07a4f")),
            (rgb("f7ebe4"), rgb("3b2f4a"), rgb("cc5a6a")),
        ]
    )
    canvas.gradient(paper, mix(paper, ink, 0.08))
    x = rng.uniform(400, 500)
    canvas.dot(x, height * 0.47, rng.uniform(44, 62), sun)
    for layer in range(5):
        share = layer / 4
        base = height * (0.6 + 0.095 * layer)
        skyline = canvas.ridge(base, 130 - 12 * layer, 0.85)
        canvas.shape(skyline, mix(paper, ink, 0.16 + 0.7 * share))
        canvas.glow(rng.uniform(80, 560), base + 60, 210, paper, 0.55 - 0.1 * layer)
    for _ in range(rng.randrange(4, 8)):
        _bird(canvas, rng.uniform(90, 380), height * rng.uniform(0.42, 0.52), ink)
    _seal(canvas, 552, height - 88, sun, paper)
    horse = HorseSpot(rng.uniform(230, 330), height * 0.86, 250, sun, paper, mix(sun, ink, 0.45))
    return TextArea((70, height * 0.08, 570, height * 0.4), ink, horse=horse)


def _bird(canvas: Canvas, x: float, y: float, ink: Colour) -> None:
    span = canvas.rng.uniform(7, 13)
    wing = [(x - span, y - span * 0.3), (x - span * 0.4, y - span * 0.5), (x, y)]
    canvas.line(wing, ink, 1.7)
    canvas.line([(2 * x - px, py) for px, py in wing], ink, 1.7)


def _seal(canvas: Canvas, x: float, y: float, red: Colour, paper: Colour) -> None:
    canvas.panel((x - 21, y - 21, x + 21, y + 21), 4, red)
    for row in (-10, 0, 10):
        reach = canvas.rng.choice((8, 13))
        canvas.line([(x - reach, y + row), (x + reach, y + row)], paper, 3)
    canvas.line([(x, y - 13), (x, y + 13)], paper, 3)


def blossoms(canvas: Canvas) -> TextArea:
    """A branch in bloom across a corner, petals falling; words in the open half."""
    rng, height = canvas.rng, canvas.height
    top, bottom, petal, bark, words = rng.choice(
        [
            (rgb("fdf1ee"), rgb("f8d7d5"), rgb("ec7f94"), rgb("4a342e"), rgb("7c2f3e")),
            (rgb("e9f3f2"), rgb("cfe5e1"), rgb("f4f4f4"), rgb("3f3a36"), rgb("24524f")),
            (rgb("fbf3dc"), rgb("f6e0ae"), rgb("e8533f"), rgb("52352a"), rgb("7a3420")),
            (rgb("2a2547"), rgb("5a3d6e"), rgb("f6a8bd"), rgb("150f22"), rgb("fde4ea")),
        ]
    )
    canvas.gradient(top, bottom)
    canvas.dot(rng.uniform(150, 250), height * 0.2, 105, sheer(mix(top, petal, 0.35), 0.55))
    tips: list[Point] = []
    _branch(canvas, (WIDTH + 20, height * 0.06), 2.75, 215, 15, bark, tips)
    _branch(canvas, (WIDTH + 10, height * 0.4), 3.5, 130, 9, bark, tips)
    # Not at every tip: the branch should show between them.
    for x, y in rng.sample(tips, k=round(len(tips) * 0.6)):
        _blossom(canvas, x, y, rng.uniform(13, 25), mix(petal, WHITE, rng.uniform(0, 0.5)))
    for _ in range(26):
        x, y = rng.uniform(20, 620), rng.uniform(height * 0.3, height - 20)
        canvas.oval(x, y, 6, 3.6, sheer(mix(petal, WHITE, 0.3), 0.8))
    horse = HorseSpot(250, height * 0.93, 215, words, bottom)
    box, upper = (75, height * 0.56, 565, height * 0.9), (75, height * 0.5, 565, height * 0.72)
    return TextArea(box, words, halo=mix(top, bottom, 0.8), horse=horse, box_with_horse=upper)


def _branch(
    canvas: Canvas,
    start: Point,
    angle: float,
    length: float,
    width: float,
    bark: Colour,
    tips: list[Point],
) -> None:
    """Draw a branch and its twigs from `start`; append the places for blossoms to `tips`."""
    rng = canvas.rng
    at, path = start, [start]
    for _ in range(4):
        angle += rng.uniform(-0.24, 0.24)
        at = around(*at, length / 4, angle)
        path.append(at)
        if width < 8:
            tips.append((at[0] + rng.uniform(-12, 12), at[1] + rng.uniform(-12, 12)))
    canvas.line(path, bark, width)
    for x, y in path[1:]:
        canvas.dot(x, y, width / 2, bark)
    if width > 3:
        for turn in (-0.55, 0.1, 0.6):
            bent = angle + turn + rng.uniform(-0.2, 0.2)
            joint = path[-1] if turn == 0.1 else rng.choice(path[2:])
            _branch(canvas, joint, bent, length * rng.uniform(0.5, 0.68), width * 0.55, bark, tips)


def _blossom(canvas: Canvas, x: float, y: float, size: float, petal: Colour) -> None:
    turn = canvas.rng.uniform(0, math.tau)
    shade = mix(petal, rgb("8c2740"), 0.16)
    for leaf in range(5):
        centre = around(x, y, size * 0.56, turn + math.tau * leaf / 5)
        canvas.dot(*centre, size * 0.52, shade)
        canvas.dot(*centre, size * 0.46, petal)
    canvas.dot(x, y, size * 0.3, mix(petal, rgb("b3284a"), 0.45))
    for leaf in range(5):
        canvas.dot(*around(x, y, size * 0.42, turn + 0.6 + math.tau * leaf / 5), 1.7, GOLD)
