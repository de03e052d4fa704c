"""Help texts and click's own messages in the reader's language.

Commands and options are declared with English literals; they are translated when they are shown.
"""

from __future__ import annotations

import gettext
import re
from typing import TYPE_CHECKING

import click

from batch_runner.util.locale import CATALOGUES, DOMAIN, tr
from batch_runner.util.text import width

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A line of an epilog: exit status, if it is one, and text.
_LINE = re.compile(r"(\s*(?:\d[\d, ]*  +)?)(.*)")
#: Follows characters that take two cells, since click counts characters; removed at the end.
_PAD = "\0"


def translate_click() -> None:
    """Let click speak the language of the environment, for the rest of this process."""
    gettext.bindtextdomain(DOMAIN, str(CATALOGUES))
    gettext.textdomain(DOMAIN)
    click.Context.formatter_class = TranslatingFormatter


class TranslatingFormatter(click.HelpFormatter):
    """Translates help texts, and wraps them by terminal cells."""

    def translate(self, message: str) -> str:
        return tr(message)

    def write_heading(self, heading: str) -> None:
        super().write_heading(self.translate(heading))

    def write_text(self, text: str) -> None:
        super().write_text("\n\n".join(map(self._paragraph, text.split("\n\n"))))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        translated = [(first, self._option_help(text)) for first, text in rows]
        super().write_dl(translated, col_max, col_spacing)

    def getvalue(self) -> str:
        return super().getvalue().replace(_PAD, "")

    def _paragraph(self, text: str) -> str:
        if not text.startswith("\b"):
            return _padded(self.translate(" ".join(text.split())))
        return "\n".join(map(self._line, text.split("\n")))

    def _option_help(self, text: str) -> str:
        help_text, bracket, extra = text.partition("  [")  # such as [required], from click
        return _padded(self.translate(help_text) + bracket + extra)

    def _line(self, line: str) -> str:
        """Translate a line that is not wrapped: a heading, an exit status, or an example."""
        found = _LINE.fullmatch(line)
        if found is None or not found[2] or found[2].startswith(("\b", "batch-runner ")):
            return line
        return found[1] + self.translate(found[2])


def _padded(text: str) -> str:
    return "".join(sign + _PAD if width(sign) == 2 else sign for sign in text)
