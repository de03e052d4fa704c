"""Full-width and typographic signs that an input method or a word processor types for ASCII ones.

YAML, numbers and units are written in ASCII. `：` and `“` look like `:` and `"`, and are text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from batch_runner.util.locale import tr

#: Signs without a full-width form of their own in Unicode, and what is typed instead.
_TYPOGRAPHIC = {
    **dict.fromkeys("“”„‟″〝〞", '"'),
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("—–‐‑‒―−﹣", "-"),
    **dict.fromkeys("【〔", "["),
    **dict.fromkeys("】〕", "]"),
    "。": ".",
    "、": ",",
    "﹐": ",",
    "﹑": ",",
    "﹕": ":",
    "﹔": ";",
    "∶": ":",
    "⁄": "/",
    "∕": "/",
    **dict.fromkeys("\u3000\u00a0\u202f\u205f", " "),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
}
#: U+FF01 to U+FF5E are the full-width forms of U+0021 to U+007E.
_ASCII = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | _TYPOGRAPHIC
_TO_ASCII = str.maketrans(_ASCII)

#: Content of a character class: spaces that are not U+0020.
WIDE_SPACES = "".join(sign for sign, ascii_sign in _ASCII.items() if ascii_sign == " ")

_SIGNS = re.compile(f"[{re.escape(''.join(_ASCII))}]")


def ascii_form(text: str) -> str:
    """Return `text` with ASCII signs instead of their full-width and typographic forms."""
    return text if text.isascii() else text.translate(_TO_ASCII)


def first_sign(text: str) -> str:
    """Return the first sign that has an ASCII form; empty if there is none."""
    found = None if text.isascii() else _SIGNS.search(text)
    return found[0] if found else ""


def ascii_hint(text: str) -> str | None:
    """Return the hint which ASCII signs to type instead of those in `text`; None if it has none."""
    signs = [] if text.isascii() else _SIGNS.findall(text)
    return how_to_type({sign: _ASCII[sign] for sign in signs}) if signs else None


def how_to_type(typed: Mapping[str, str]) -> str:
    """Return the hint what to type instead of each sign; of many, the first few."""
    pairs = [
        tr("{typed} for {sign}", typed=sign_shown(ascii_sign), sign=sign_shown(sign))
        for sign, ascii_sign in [*typed.items()][:4]
    ]
    return tr("type {pairs} (half-width, in ASCII)", pairs=tr(" and ").join(pairs))


def sign_shown(sign: str) -> str:
    """Return a sign for a message; a space by its name or code."""
    if sign == " ":
        return tr("a space")
    return f"U+{ord(sign):04X}" if _ASCII.get(sign) == " " else sign
