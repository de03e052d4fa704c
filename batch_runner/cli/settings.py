"""Where a setting comes from: flag > environment > manifest > user config > default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from batch_runner.errors import UsageError
from batch_runner.manifest.user_config import read_user_config, user_config_path
from batch_runner.settings import Limits, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batch_runner.manifest import Manifest

_FLAGS = {
    "rate": "Submissions at most, such as 5/s or 300/min",
    "in_flight": "Tasks submitted and not finished, at most",
    "poll_rate": "Status requests at most, such as 10/s",
    "max_submissions": "Submissions over the whole life of the job, at most: the spend cap",
    "run_for": "Stop after this long, such as 8h; the next run goes on",
    "until": "Stop at this time of day, such as 06:30",
}
_WHOLE = ("in_flight", "max_submissions")
#: Settings that follow a limit unless they are set themselves.
_FOLLOWING = {
    "polling.concurrency": ("pollers", "limits.poll_rate"),
    "downloads.concurrency": ("downloaders", "limits.rate"),
    "limits.concurrent_submissions": ("concurrent_submissions", "limits.rate"),
}


def settings_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each limit."""
    for name, text in reversed(_FLAGS.items()):
        variable = _variable(name)
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
        UsageError: a flag, a variable or the user config has a value that cannot be.
    """
    own = read_user_config(user_config_path())
    places = {name: at for name, at in own.places.items() if name not in manifest.explicit}
    settings = _laid_under(manifest.settings, own.settings, places)
    told = {name: f"user config {at}" for name, at in places.items()}
    origins = _origins(settings, {**told, **manifest.explicit})
    wrong = []
    for name, value in flags.items():
        if value is None:
            continue
        origin = _origin(name)
        try:
            settings = settings.model_copy(update={"limits": _with(settings.limits, name, value)})
        except ValueError as error:
            wrong.append(f"{_spelled(name, origin)} {value!r}: {error}")
        origins[f"limits.{name}"] = (getattr(settings.limits, name), origin)
    if wrong:
        raise UsageError("\n".join(wrong))
    for dotted, (derived, limit) in _FOLLOWING.items():
        if origins[dotted][0] is None:
            origins[dotted] = (getattr(settings, derived), f"default, from {limit}")
    return settings, origins


def _laid_under(settings: Settings, own: Settings, names: Iterable[str]) -> Settings:
    """Return `settings` with those of `own` that are named, as "block.name"."""
    for dotted in names:
        block, _, name = dotted.partition(".")
        value = getattr(getattr(own, block), name)
        part = getattr(settings, block).model_copy(update={name: value})
        settings = settings.model_copy(update={block: part})
    return settings


def _origin(name: str) -> str:
    source = click.get_current_context().get_parameter_source(name)
    return "flag" if source and source.name == "COMMANDLINE" else "environment"


def _spelled(name: str, origin: str) -> str:
    """Return what the operator has typed for a setting."""
    return _variable(name) if origin == "environment" else f"--{name.replace('_', '-')}"


def limits_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the limits that `environment` sets, as the flags of `effective_settings`."""
    return {name: text for name in _FLAGS if (text := environment.get(_variable(name)))}


def variables() -> list[str]:
    """Return the variable of each limit that has one."""
    return [_variable(name) for name in _FLAGS]


def _variable(name: str) -> str:
    return f"BATCH_RUNNER_{name.upper()}"


def _with(limits: Limits, name: str, value: str) -> Limits:
    """Return the limits with one from a flag or a variable.

    Raises:
        ValueError: it cannot have that value; says what is wanted.
    """
    given: Any = value
    if name in _WHOLE:
        if not value.isdecimal():
            raise ValueError("wanted a whole number above 0")
        given = int(value)
    values = {field: getattr(limits, field) for field in limits.model_fields_set} | {name: given}
    try:
        return Limits(**values)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _origins(settings: Settings, explicit: dict[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for part in Settings.model_fields:
        block = getattr(settings, part)
        for name in type(block).model_fields:
            dotted = f"{part}.{name}"
            found[dotted] = (getattr(block, name), explicit.get(dotted, "default"))
    return found
