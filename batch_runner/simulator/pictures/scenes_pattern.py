"""Pattern scenes: waves, a wreath, fans."""

from __future__ import annotations

import math

from batch_runner.simulator.pictures.canvas import WIDTH, Canvas, around, smooth
from batch_runner.simulator.pictures.colours import Colour, mix, rgb, sheer
from batch_runner.simulator.pictures.horse import HorseSpot
from batch_runner.simulator.pictures.lettering import TextArea

WHITE = rgb("ffffff")


def waves(canvas: Canvas) -> TextArea:
    """Rows of round waves under a rising sun; words in the sky."""
    rng, height = canvas.rng, canvas.height
    sky, low, sun, sea, foam = rng.choice(
        [
            (rgb("fdf3df"), rgb("fbd9b0"), rgb("e4572e"), rgb("17486b"), rgb("f5efe1")),
            (rgb("f9e7e4"), rgb("f3c1b5"), rgb("d8443c"), rgb("1f5f5b"), rgb("f7f1e3")),
            (rgb("1c2541"), rgb("5b4b8a"), rgb("ffd27d"), rgb("0b1730"), rgb("cfd8f0")),
        ]
    )
    canvas.gradient(sky, low, low)
    canvas.glow(WIDTH / 2, height * 0.6, 300, mix(sun, WHITE, 0.5), 0.5)
    canvas.dot(WIDTH / 2, height * 0.6, 125, sun)
    radius = rng.choice((42.0, 50.0, 58.0))
    top = height * 0.62
    rows = int((height - top) / (radius * 0.5)) + 3
    for row in range(rows):
        shift = radius if row % 2 else 0.0
        tone = mix(sea, foam, 0.22 * (1 - row / rows))
        y = top + row * radius * 0.5 + radius
        _scale(canvas, WIDTH / 2 + shift, y, radius, (tone, foam))
        canvas.repeat_disc(WIDTH / 2 + shift, y, radius, _columns(radius, shift))
    words = rgb("fdf0d5") if sum(sky) < 300 else mix(sea, rgb("000000"), 0.15)
    horse = HorseSpot(WIDTH / 2, height * 0.66, 275, mix(sea, rgb("000000"), 0.2), foam, sea)
    return TextArea((75, height * 0.08, 565, height * 0.41), words, horse=horse)


def _columns(radius: float, shift: float) -> list[float]:
    """Return the x coordinates of the other discs in the row of one in the middle."""
    reach = range(-int(WIDTH / 4 / radius) - 1, int(WIDTH / 4 / radius) + 2)
    return [WIDTH / 2 + shift + 2 * radius * step for step in reach if step]


def _scale(canvas: Canvas, x: float, y: float, radius: float, tones: tuple[Colour, Colour]) -> None:
    sea, foam = tones
    canvas.dot(x, y, radius, foam)
    for share, tone in ((0.94, sea), (0.7, foam), (0.64, sea), (0.42, foam), (0.36, sea)):
        canvas.dot(x, y, radius * share, tone)


def wreath(canvas: Canvas) -> TextArea:
    """A ring of leaves, berries and small flowers; words inside."""
    rng, height = canvas.rng, canvas.height
    paper, leaves, berry, words = rng.choice(
        [
            (
                rgb("fbf7ee"),
                (rgb("5f7d57"), rgb("8aa67f"), rgb("3f5b43")),
                rgb("c9413d"),
                rgb("33463a"),
            ),
            (
                rgb("f3f6f9"),
                (rgb("5b7f95"), rgb("8fb0c2"), rgb("3b5a70")),
                rgb("e0a437"),
                rgb("27414f"),
            ),
            (
                rgb("fdf2f0"),
                (rgb("b5838d"), rgb("e5989b"), rgb("6d6875")),
                rgb("8f2d56"),
                rgb("5a3a4a"),
            ),
            (
                rgb("21332c"),
                (rgb("7fa37a"), rgb("b9cfa1"), rgb("4f7a5a")),
                rgb("f2b134"),
                rgb("f6f0dc"),
            ),
        ]
    )
    canvas.gradient(paper, mix(paper, leaves[1], 0.18))
    x, y = WIDTH / 2, height / 2
    radius = min(245.0, height / 2 - 75)
    canvas.ring(x, y, radius, sheer(leaves[2], 0.7), 2.5)
    stems = 54
    for stem in range(stems):
        angle = math.tau * stem / stems + rng.uniform(-0.04, 0.04)
        root = around(x, y, radius + rng.uniform(-7, 7), angle)
        lean = angle + math.pi / 2 + rng.choice((-0.75, 0.75)) + rng.uniform(-0.2, 0.2)
        _leaf(canvas, *root, rng.uniform(38, 62), lean, rng.choice(leaves))
    for _ in range(22):
        spot = around(x, y, radius + rng.uniform(-24, 24), rng.uniform(0, math.tau))
        canvas.dot(*spot, 6.5, berry)
        canvas.dot(spot[0] - 2, spot[1] - 2, 1.8, mix(berry, WHITE, 0.7))
    for _ in range(7):
        spot = around(x, y, radius + rng.uniform(-10, 10), rng.uniform(0, math.tau))
        _daisy(canvas, *spot, rng.uniform(13, 19), berry)
    reach = radius * 0.62
    box = (x - reach, y - reach * 0.85, x + reach, y + reach * 0.85)
    lower = (x - reach, y + 8, x + reach, y + reach)
    horse = HorseSpot(x, y - 4, reach * 1.3, berry, paper, leaves[2])
    return TextArea(box, words, largest=46, horse=horse, box_with_horse=lower)


def _leaf(canvas: Canvas, x: float, y: float, length: float, angle: float, tone: Colour) -> None:
    tip, middle = around(x, y, length, angle), around(x, y, length * 0.45, angle)
    half = length * 0.2
    left, right = around(*middle, half, angle + 1.57), around(*middle, half, angle - 1.57)
    canvas.shape(smooth([(x, y), left, tip, right], 5), tone)
    canvas.line([(x, y), around(x, y, length * 0.85, angle)], mix(tone, WHITE, 0.35), 1.2)


def _daisy(canvas: Canvas, x: float, y: float, size: float, heart: Colour) -> None:
    for petal in range(8):
        canvas.dot(*around(x, y, size * 0.62, math.tau * petal / 8), size * 0.36, WHITE)
    canvas.dot(x, y, size * 0.38, mix(heart, rgb("f2b134"), 0.6))


def fans(canvas: Canvas) -> TextArea:
    """Golden fans around a medallion that holds the words."""
    rng, height = canvas.rng, canvas.height
    ground, gold, panel = rng.choice(
        [
            (rgb("0f2e3d"), rgb("d9b25f"), rgb("0a212c")),
            (rgb("1d1a2b"), rgb("e0b873"), rgb("14111f")),
            (rgb("0d3b2e"), rgb("e2c374"), rgb("082a20")),
            (rgb("6d1a36"), rgb("ecc57a"), rgb("521226")),
        ]
    )
    canvas.gradient(ground, mix(ground, rgb("000000"), 0.25))
    radius = rng.choice((64.0, 80.0))
    rows = int(height / (radius * 0.6)) + 3
    for row in range(rows):
        shift = radius if row % 2 else 0.0
        y = row * radius * 0.6
        _fan(canvas, WIDTH / 2 + shift, y, radius, (ground, gold))
        canvas.repeat_disc(WIDTH / 2 + shift, y, radius, _columns(radius, shift))
    box = (88.0, height * 0.27, WIDTH - 88, height * 0.73)
    canvas.panel((box[0] - 14, box[1] - 14, box[2] + 14, box[3] + 14), 30, ground, (gold, 2))
    canvas.panel(box, 20, panel, (gold, 4))
    for end in (box[1] + 34, box[3] - 34):
        canvas.line([(WIDTH / 2 - 90, end), (WIDTH / 2 + 90, end)], sheer(gold, 0.7), 1.6)
        canvas.shape([around(WIDTH / 2, end, 9, turn * math.pi / 2) for turn in range(4)], gold)
    words, middle = mix(gold, WHITE, 0.55), (box[1] + box[3]) / 2
    horse = HorseSpot(WIDTH / 2, middle + 18, 205, gold, panel, mix(gold, ground, 0.4))
    lower = (box[0] + 26, middle + 26, box[2] - 26, box[3] - 46)
    whole = (box[0] + 26, box[1] + 52, box[2] - 26, box[3] - 52)
    return TextArea(whole, words, horse=horse, box_with_horse=lower)


def _fan(canvas: Canvas, x: float, y: float, radius: float, colours: tuple[Colour, Colour]) -> None:
    ground, gold = colours
    canvas.dot(x, y, radius, gold)
    canvas.dot(x, y, radius - 3, ground)
    for ray in range(-4, 5):
        angle = -math.pi / 2 + ray * 0.2
        canvas.line([(x, y), around(x, y, radius * 0.86, angle)], sheer(gold, 0.65), 1.7)
    canvas.ring(x, y, radius * 0.86, sheer(gold, 0.8), 1.5)
    canvas.dot(x, y, radius * 0.3, gold)
    canvas.dot(x, y, radius * 0.22, ground)
