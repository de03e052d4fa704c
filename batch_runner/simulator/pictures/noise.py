"""Noise pictures of a given size in bytes, for load tests."""

from __future__ import annotations

import io
import random

from PIL import Image

# Bytes of a PNG besides its pixels: signature, IHDR, IEND, the frame of IDAT and zlib.
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
