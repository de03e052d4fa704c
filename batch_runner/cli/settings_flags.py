"""Settings as flags and environment variables: flag > environment > manifest > default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from batch_runner.errors import UsageError
from batch_runner.settings import Limits, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.manifest import Manifest

_FLAGS = {
    "pace": "Creates at most, such as 5/s or 300/min",
    "in_flight": "Tasks submitted and not finished, at most",
    "polls": "Status requests at most, such as 10/s",
    "tasks": "Creates over the whole life of the job, at most: the spend cap",
    "run_for": "Stop after this long, such as 8h; the next run goes on",
    "until": "Stop at this time of day, such as 06:30",
}
_WHOLE = ("in_flight", "tasks")


def settings_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each limit."""
    for name, text in reversed(_FLAGS.items()):
        variable = f"BATCH_RUNNER_{name.upper()}"
        default = getattr(Limits(), name)
        shown = f"default {default}; " if default is not None else ""
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar="N" if name in _WHOLE else "VALUE",
            envvar=variable,
            help=f"{text} ({shown}env {variable}).",
        )(command)
    return command


def effective_settings(
    manifest: Manifest, flags: dict[str, Any]
) -> tuple[Settings, dict[str, tuple[Any, str]]]:
    """Return the settings of a run, and each one's value and where it comes from.

    Raises:
        UsageError: a flag or variable has a value that cannot be.
    """
    settings = manifest.settings
    origins = _origins(settings, manifest.explicit)
    context = click.get_current_context()
    for name, value in flags.items():
        if value is None:
            continue
        settings = settings.model_copy(update={"limits": _with(settings.limits, name, value)})
        source = context.get_parameter_source(name)
        origin = "environment" if source and source.name == "ENVIRONMENT" else "flag"
        origins[f"limits.{name}"] = (getattr(settings.limits, name), origin)
    return settings, origins


def _with(limits: Limits, name: str, value: str) -> Limits:
    given: Any = value
    if name in _WHOLE:
        if not value.isdecimal():
            raise UsageError(f"--{name.replace('_', '-')} {value!r}: wanted a whole number above 0")
        given = int(value)
    values = {field: getattr(limits, field) for field in limits.model_fields_set} | {name: given}
    try:
        return Limits(**values)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--{name.replace('_', '-')} {value!r}: {said}") from None


def _origins(settings: Settings, explicit: dict[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for part in Settings.model_fields:
        block = getattr(settings, part)
        for name in type(block).model_fields:
            dotted = f"{part}.{name}"
            found[dotted] = (getattr(block, name), explicit.get(dotted, "default"))
    return found
