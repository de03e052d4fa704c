"""Full-width and typographic signs that an input method or a word processor types for ASCII ones.

YAML, numbers and units are written in ASCII. `：` and `“` look like `:` and `"`, and are text.
"""

from __future__ import annotations

import re

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
    **dict.fromkeys(
        "\u3000\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f",
        " ",
    ),
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


def how_to_type(text: str) -> str | None:
    """Return the hint which ASCII signs to type instead of those in `text`; None if it has none."""
    signs = {} if text.isascii() else dict.fromkeys(_SIGNS.findall(text))
    if not signs:
        return None
    pairs = [sign_pair(sign) for sign in [*signs][:4]]
    return tr("type {signs} (half-width, in ASCII)", signs=tr(", ").join(pairs))


def sign_pair(sign: str) -> str:
    """Return in words what is typed instead of `sign`."""
    return tr("{ascii} instead of {sign}", ascii=_shown(_ASCII[sign]), sign=_shown(sign))


def _shown(sign: str) -> str:
    if sign == " ":
        return tr("a space")
    return f"U+{ord(sign):04X}" if _ASCII.get(sign) == " " else sign
