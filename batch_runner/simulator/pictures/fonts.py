"""The fonts of this machine, and which of them has a character."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

_ROOTS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
_LATIN = ("DejaVuSerif.ttf", "LiberationSerif-Regular.ttf", "NotoSerif-Regular.ttf", "Georgia.ttf")
_CHINESE = (
    "NotoSerifCJK-Regular.ttc",
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "SourceHanSerifSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "uming.ttc",
    "ukai.ttc",
    "PingFang.ttc",
    "Songti.ttc",
)
# In no font, so it is drawn as every character is that the font lacks.
_UNASSIGNED = "\u0378"


@lru_cache(1)
def font_files() -> tuple[str | None, ...]:
    """Return the fonts to try in order; None is the font that comes with Pillow."""
    found: dict[str, str] = {}
    for root in _ROOTS:
        for path in Path(root).rglob("*.[to]t[fc]") if Path(root).is_dir() else ():
            found.setdefault(path.name, str(path))
    latin = [found[name] for name in _LATIN if name in found][:1]
    chinese = [found[name] for name in _CHINESE if name in found][:1]
    return (*latin, None, *chinese)


@lru_cache(256)
def load(file: str | None, size: int) -> Font:
    """Return a font; the size is in pixels."""
    if file is None:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101  Pillow was built with FreeType
        return font
    return ImageFont.truetype(file, size)


@lru_cache(4096)
def font_file_for(character: str) -> str | bool | None:
    """Return the first font file that has `character`, False if none has."""
    for file in font_files():
        font = load(file, 24)
        missing = font.getmask(_UNASSIGNED)
        drawn = font.getmask(character)
        if drawn.size != missing.size or bytes(drawn) != bytes(missing):
            return file
    return False
