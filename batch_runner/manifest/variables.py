"""What a variable may be called, and what it may hold."""

from __future__ import annotations

from typing import Any

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import variable_refusal
from batch_runner.manifest.templates.sandbox import MARKERS, MAX_TEXT
from batch_runner.manifest.yaml.syntax_errors import MAX_DEPTH
from batch_runner.models import UPLOAD_MARK


def check_variable(name: str, value: Any, place: Location, report: Diagnostics) -> None:
    """Report a variable that has a name or a value that it cannot have."""
    check_name(name, place, report)
    check_value(value, place, report)


def check_name(name: str, place: Location, report: Diagnostics) -> bool:
    """Say whether a variable can be called this; report it when it cannot."""
    reason = variable_refusal(name)
    if reason:
        report.add(place, f"{excerpt(name)} cannot be a variable: {reason}", hint="rename it")
    return reason is None


def check_value(value: Any, place: Location, report: Diagnostics, item: str | None = None) -> bool:
    """Say whether a value is not nested too deep; report that and every text that is not sound."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        for one in level:
            if isinstance(one, str):
                _check_text(one, place, report, item)
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    report.add(place, f"values are nested more than {MAX_DEPTH} deep", item=item)
    return False


def _check_text(value: str, place: Location, report: Diagnostics, item: str | None) -> None:
    """Report a text that is too long, or that looks like a template and would be sent as it is."""
    if MARKERS.search(value):
        report.add(
            report.locate(place, "{"),
            f"this value would be sent with its brackets: {excerpt(value)}",
            item=item,
            hint="templates belong into params, prompts, files, output.name or defaults.prompt",
        )
    elif UPLOAD_MARK in value:
        report.add(place, f"{UPLOAD_MARK} is a mark of the program's own", item=item)
    elif len(value) > MAX_TEXT:
        message = f"the text has {len(value)} characters, and at most {MAX_TEXT} may be"
        report.add(place, message, item=item)
