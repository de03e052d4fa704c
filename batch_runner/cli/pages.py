"""Show the pages of `batch_runner/docs`: in a pager on a terminal, elsewhere as Markdown."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from importlib import resources

import click

from batch_runner.cli.output import print_file_content, print_line

#: Longer lines are hard to read.
_MAX_WIDTH = 100
#: As git sets it: end at once if everything fits on the screen, show colours, leave the text there.
_LESS = "FRX"
_LINK_TO_PAGE = re.compile(r"\[([^]\[]+)\]\(([\w-]+)\.md(?:#[\w-]+)?\)")
#: The marks of generated parts, which are for maintainers, each in a line of its own.
_COMMENT = re.compile(r"^<!--.*-->\n+", re.MULTILINE)


def read_page(topic: str) -> str:
    """Return the Markdown of a topic."""
    text = (resources.files("batch_runner") / "docs" / f"{topic}.md").read_text("utf-8")
    return _COMMENT.sub("", text)


def show_page(topic: str) -> None:
    """Show the page of a topic: readable on a terminal, as Markdown elsewhere."""
    text = read_page(topic)
    if not sys.stdout.isatty():
        print_file_content(text.rstrip("\n"))
        return
    show_text(_rendered(text, min(shutil.get_terminal_size().columns, _MAX_WIDTH)))


def show_text(text: str) -> None:
    """Print a text; on a terminal through the pager, unless PAGER is empty or "cat"."""
    text = text.rstrip("\n")
    if not sys.stdout.isatty() or os.environ.get("PAGER", "less").strip() in ("", "cat"):
        print_line(text)
        return
    os.environ.setdefault("LESS", _LESS)
    click.echo_via_pager(text + "\n")


def _rendered(text: str, width: int) -> str:
    """Return Markdown as text for a terminal; links to other pages as the command to type."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    linked = _LINK_TO_PAGE.sub(r"\1 (`batch-runner help \2`)", text)
    out = io.StringIO()
    theme = Theme({"markdown.code": "bold cyan"})  # not on black, whatever the terminal's colours
    console = Console(file=out, force_terminal=True, width=width, theme=theme)
    console.print(Markdown(linked, code_theme="ansi_dark", hyperlinks=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
