"""A galloping horse in the style of a paper cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batch_runner.simulator.pictures.canvas import Canvas, Point, around, smooth
from batch_runner.simulator.pictures.colours import Colour

# Outlines drawn by hand, 206 wide and 145 high, running to the right.
LENGTH, HEIGHT = 206.0, 145.0
# fmt: off
_BODY: list[Point] = [
    (187, 40), (184, 31), (172, 18), (168, 13), (167, 2), (161, 11), (154, 13), (143, 24),
    (132, 40), (118, 51), (96, 56), (74, 51), (62, 54), (53, 66), (52, 82), (46, 94),
    (32, 104), (19, 118), (9, 124), (1, 134), (12, 134), (19, 126), (32, 117), (46, 109),
    (60, 101), (70, 97), (68, 108), (60, 122), (52, 134), (43, 143), (55, 145), (61, 136),
    (71, 122), (82, 108), (90, 96), (106, 93), (124, 90), (134, 89), (146, 94), (160, 96),
    (161, 108), (153, 119), (150, 129), (158, 125), (168, 112), (171, 94), (164, 86), (176, 82),
    (190, 86), (197, 97), (206, 102), (203, 92), (197, 80), (178, 73), (160, 74), (153, 68),
    (153, 56), (159, 47), (170, 47), (180, 50), (186, 47),
]
_TAIL: list[Point] = [
    (60, 53), (46, 46), (30, 47), (14, 58), (4, 76), (16, 68), (24, 66), (12, 82),
    (10, 98), (22, 82), (34, 72), (36, 80), (44, 68), (54, 64),
]
_MANE: list[Point] = [
    (166, 10), (156, 6), (150, 12), (140, 10), (141, 19), (128, 20), (131, 30), (117, 33),
    (122, 42), (108, 46), (120, 52), (134, 42), (146, 24),
]
_CRESCENTS = [((66, 72), 9, 0.6), ((72, 84), 7, 0.2), ((142, 56), 7, 2.2), ((140, 72), 8, 2.6)]
# fmt: on


@dataclass(frozen=True, slots=True)
class HorseSpot:
    """Where a scene has room for a horse: middle of its feet, width, colours of horse and cuts."""

    x: float
    y: float
    width: float
    colour: Colour
    cut: Colour
    hair: Colour | None = None


def draw_horse(canvas: Canvas, horse: HorseSpot) -> None:
    """Draw the horse, facing left or right at random."""
    facing = canvas.rng.choice((1.0, 1.0, -1.0))
    scale = horse.width / LENGTH

    def placed(point: Point) -> Point:
        x, y = point
        return horse.x + facing * (x - LENGTH / 2) * scale, horse.y + (y - HEIGHT) * scale

    hair = horse.hair or horse.colour
    for outline, colour in ((_TAIL, hair), (_BODY, horse.colour), (_MANE, hair)):
        canvas.shape([placed(point) for point in smooth(outline)], colour)
    canvas.dot(*placed((170, 27)), 1.9 * scale, horse.cut)
    flower = placed((98, 74))
    for petal in range(8):
        canvas.dot(*around(*flower, 8.5 * scale, math.tau * petal / 8), 3.1 * scale, horse.cut)
    canvas.ring(*flower, 14.5 * scale, horse.cut, 1.3 * scale)
    canvas.dot(*flower, 3.4 * scale, horse.cut)
    for centre, radius, turn in _CRESCENTS:
        canvas.shape([placed(point) for point in _crescent(centre, radius, turn)], horse.cut)


def _crescent(centre: Point, radius: float, turn: float) -> list[Point]:
    outer = [around(*centre, radius, turn + step * 0.3) for step in range(9)]
    inner_centre = around(*centre, radius * 0.25, turn + 1.2 + math.pi)
    inner = [around(*inner_centre, radius, turn + step * 0.3) for step in range(9)]
    return outer + inner[::-1]
