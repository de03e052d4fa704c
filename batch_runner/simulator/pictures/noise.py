"""Pictures for load tests: valid, of a chosen size in bytes, drawn once."""

from __future__ import annotations

import io
import random

from PIL import Image

# A PNG around its pixels: signature, IHDR, IEND and the frame of IDAT and zlib.
FRAME_BYTES = 75
WIDTH = 256


def draw_noise(size: int, seed: int = 0) -> bytes:
    """Return a grey noise PNG of about `size` bytes; noise does not compress."""
    height = max(1, (size - FRAME_BYTES) // (WIDTH + 1))
    width = WIDTH if size > WIDTH else 16
    pixels = random.Random(seed).randbytes(width * height)
    file = io.BytesIO()
    Image.frombytes("L", (width, height), pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()
