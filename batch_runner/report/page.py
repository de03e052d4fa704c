"""The page: markup, style and script in one file that loads nothing from the network."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files as package_files

from batch_runner.report.files import script_json
from batch_runner.report.words import PageWords, page_words

#: Concatenated in this order.
SCRIPTS = (
    "words.js",
    "dom.js",
    "choices.js",
    "head.js",
    "files.js",
    "sheet.js",
    "viewer.js",
    "export.js",
    "charts.js",
    "main.js",
)


def page_html(*, title: str, summary: str, data_script: str, language: str | None) -> str:
    """Return the page; `data_script` is the path of its data, relative to the page.

    `language` None lets the browser choose.
    """
    return assemble(
        "page.html",
        SCRIPTS,
        words=page_words(),
        sources="img-src 'self' file: data:; media-src 'self' file:; script-src 'self' file:",
        language=language or "",
        title=title,
        summary=summary,
        data=data_script,
    )


def assemble(
    template: str, scripts: Iterable[str], *, words: PageWords, sources: str, **texts: str
) -> str:
    """Return a page of style, scripts and escaped texts, in the places that `template` names.

    `sources` are the directives of its policy about what it may load; the last is `script-src`.
    """
    style = _static("report.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_static, scripts)) + "\n})();"
    script = _fill(script, {"words": script_json(words)})
    escaped = {name: escape(text) for name, text in texts.items()}
    policy = escape(_policy(style, script, sources))
    return _fill(_static(template), {"policy": policy, "style": style, "script": script, **escaped})


def _fill(template: str, values: dict[str, str]) -> str:
    # Split first, so that a value that contains a mark is not filled in turn.
    parts = template.split("%%")
    return "".join(values[part] if index % 2 else part for index, part in enumerate(parts))


def _policy(style: str, script: str, sources: str) -> str:
    # Only these bytes run, and nothing is loaded from the network, even if a text were injected.
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'; "
        f"{sources} '{_digest(script)}'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()


@cache
def _static(name: str) -> str:
    return package_files("batch_runner.report").joinpath("static", name).read_text("utf-8")
