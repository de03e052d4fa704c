"""Small images for tests."""

from __future__ import annotations

import io
import os

from PIL import Image


def png_bytes(color: str = "red", *, noise: int = 0) -> bytes:
    """Return a small PNG; with `noise`, one of that many pixels squared that cannot shrink."""
    file = io.BytesIO()
    if noise:
        Image.frombytes("RGB", (noise, noise), os.urandom(3 * noise**2)).save(file, "PNG")
    else:
        Image.new("RGB", (8, 8), color).save(file, "PNG")
    return file.getvalue()
