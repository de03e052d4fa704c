"""Validate names and values of variables."""

from __future__ import annotations

from typing import Any

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import variable_refusal
from batch_runner.manifest.templates.sandbox import MARKERS, MAX_TEXT
from batch_runner.manifest.yaml.syntax_errors import MAX_DEPTH
from batch_runner.models import UPLOAD_MARK
from batch_runner.util.locale import tr


def check_variable(name: str, value: Any, location: Location, diagnostics: Diagnostics) -> None:
    check_name(name, location, diagnostics)
    check_value(value, location, diagnostics)


def check_name(name: str, location: Location, diagnostics: Diagnostics) -> bool:
    """Return whether `name` can be the name of a variable; report it if not."""
    reason = variable_refusal(name)
    if reason:
        diagnostics.add(
            location,
            tr("a variable cannot be named {name}: {reason}", name=excerpt(name), reason=reason),
            hint=tr("rename it"),
        )
    return reason is None


def check_value(
    value: Any, location: Location, diagnostics: Diagnostics, item: str | None = None
) -> bool:
    """Report every invalid text in a value; return False if it is nested too deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        for one in level:
            if isinstance(one, str):
                _check_text(one, location, diagnostics, item)
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    diagnostics.add(
        location, tr("values are nested more than {max_depth} deep", max_depth=MAX_DEPTH), item=item
    )
    return False


def _check_text(value: str, location: Location, diagnostics: Diagnostics, item: str | None) -> None:
    """Report a text that is too long, or that contains a template and would not be rendered."""
    if MARKERS.search(value):
        diagnostics.add(
            diagnostics.locate(location, "{"),
            tr("a template is not rendered here: {value}", value=excerpt(value)),
            item=item,
            hint=tr("templates work in params, prompts, files, output.name and defaults.prompt"),
        )
    elif UPLOAD_MARK in value:
        diagnostics.add(
            location,
            tr("the text contains {upload_mark}, which is reserved", upload_mark=UPLOAD_MARK),
            item=item,
        )
    elif len(value) > MAX_TEXT:
        message = tr(
            "the text has {value} characters, at most {max_text} are allowed",
            value=len(value),
            max_text=MAX_TEXT,
        )
        diagnostics.add(location, message, item=item)
