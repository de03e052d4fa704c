"""A greeting card from a prompt and a seed."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw, ImageFont


def draw_card(prompt: str, seed: str, size: tuple[int, int]) -> bytes:
    """Return a PNG that looks like a card saying `prompt`; the same for the same arguments."""
    draw = random.Random(f"{prompt}:{seed}")
    image = Image.new("RGB", size, tuple(draw.randrange(256) for _ in range(3)))
    font = ImageFont.load_default(24)
    ImageDraw.Draw(image).text((40, 40), prompt[:40], font=font)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
