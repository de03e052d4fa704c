"""Resolve the settings of a run: flag > environment > manifest > user config > default."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from batch_runner.config.environment import BLOCKS, check_environment, limit_variable
from batch_runner.config.user_config import read_user_config, user_config_path
from batch_runner.errors import UsageError
from batch_runner.manifest import Manifest
from batch_runner.providers import PROVIDERS
from batch_runner.settings import Block, Network, Settings
from batch_runner.units import with_one_currency
from batch_runner.util.fullwidth import ascii_form
from batch_runner.util.locale import tr
from batch_runner.util.text import printable

SomeBlock = TypeVar("SomeBlock", bound=Block)

#: Limits that must be integers.
WHOLE_NUMBERS = ("in_flight", "max_submissions")

#: Settings whose default depends on a limit → property of `Settings`, and that limit.
_DERIVED = {
    "polling.concurrency": ("pollers", "limits.poll_rate"),
    "downloads.concurrency": ("downloaders", "limits.rate"),
    "limits.concurrent_submissions": ("concurrent_submissions", "limits.rate"),
}

#: Dotted name of a setting → its value and its source.
Origins = dict[str, tuple[Any, str]]


def flag_name(name: str) -> str:
    """Return the flag that sets `limits.name`, `network.name` or `name`."""
    return f"--{name.replace('_', '-')}"


def resolve_settings(
    manifest: Manifest, *, flags: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Settings, Origins]:
    """Return the settings of a run, and the value and source of each.

    `flags` maps names of settings to the text given; `environment` are all environment variables.
    An empty variable counts as not set.

    Raises:
        UsageError: a flag, a variable or the user config has an invalid value, or a variable is
            unknown.
    """
    check_environment(environment)
    user = read_user_config(user_config_path(environment))
    locations = {name: at for name, at in user.locations.items() if name not in manifest.explicit}
    settings = _with_defaults_from(user.settings, manifest.settings, locations)
    explicit = {name: f"user config {at}" for name, at in locations.items()} | manifest.explicit
    documented = _documented(manifest.provider, explicit)
    settings = _with_defaults_from(_settings_of(documented), settings, documented)
    explicit |= dict.fromkeys(documented, f"provider {manifest.provider}")
    origins = _origins(settings, explicit)
    invalid = []
    for name, text, written, origin in _given(flags, environment):
        part = BLOCKS[name]
        try:
            block = _with_value(getattr(settings, part) if part else settings, name, text)
        except ValueError as error:
            shown = "" if name == "proxy" else f' "{printable(text, 80)}"'  # may hold a password
            invalid.append(f"{written}{shown}: {error}")
            continue
        settings = settings.model_copy(update={part: block}) if part else block
        origins[f"{part}.{name}".lstrip(".")] = (getattr(block, name), origin)
    try:  # settings from several places were put together without validation
        with_one_currency(settings.limits)
    except ValueError as error:
        invalid.append(str(error))
    if invalid:
        raise UsageError("\n".join(invalid))
    for dotted, (derived, limit) in _DERIVED.items():
        if origins[dotted][0] is None:
            origins[dotted] = (getattr(settings, derived), f"default, from {limit}")
    return settings, origins


def network_of(environment: Mapping[str, str]) -> Network:
    """Return the network settings of this host, which no manifest gives.

    Raises:
        UsageError: a variable or the user config has an invalid value.
    """
    check_environment(environment)
    network = read_user_config(user_config_path(environment)).settings.network
    for name, text, written, _ in _given({}, environment):
        if BLOCKS[name] == "network":
            try:
                network = _with_value(network, name, text)
            except ValueError as error:
                raise UsageError(f"{written}: {error}") from None
    return network


def _documented(provider: str, explicit: Collection[str]) -> dict[str, Any]:
    """Return the settings that the provider's service documents and nobody has given."""
    info = PROVIDERS.get(provider)
    known = {} if info is None else info.defaults
    return {name: value for name, value in known.items() if name not in explicit}


def _settings_of(values: Mapping[str, Any]) -> Settings:
    """Return settings with values by "block.name"."""
    blocks: dict[str, dict[str, Any]] = {}
    for dotted, value in values.items():
        block, _, name = dotted.partition(".")
        blocks.setdefault(block, {})[name] = value
    return Settings.model_validate(blocks)


def _given(
    flags: Mapping[str, str], environment: Mapping[str, str]
) -> Iterable[tuple[str, str, str, str]]:
    """Yield each given setting: name and text, the name of its flag or variable, its source."""
    for name, text in flags.items():
        yield name, text, flag_name(name), "flag"
    for name in BLOCKS:
        variable = limit_variable(name)
        if name not in flags and (text := environment.get(variable, "")):
            yield name, text, variable, "environment"


def _with_defaults_from(user: Settings, settings: Settings, names: Iterable[str]) -> Settings:
    """Return `settings` with the values of `user` for `names`, each as "block.name" or "name"."""
    for dotted in names:
        block, _, name = dotted.partition(".")
        value = getattr(user, block)
        if name:
            value = getattr(settings, block).model_copy(update={name: getattr(value, name)})
        settings = settings.model_copy(update={block: value})
    return settings


def _with_value(block: SomeBlock, name: str, text: str) -> SomeBlock:
    """Return `block` with the value `text` for one setting.

    Raises:
        ValueError: the text is invalid; the message says what is valid.
    """
    value: Any = text
    if name in WHOLE_NUMBERS:
        if not (text.isascii() and text.isdecimal()):
            message, typed = tr("wanted a whole number above 0"), ascii_form(text)
            if typed.isdecimal() and typed.isascii():
                message = tr(
                    "{wanted}; type {typed} (half-width, in ASCII)", wanted=message, typed=typed
                )
            raise ValueError(message)
        value = int(text)
    values = {field: getattr(block, field) for field in block.model_fields_set} | {name: value}
    try:
        return type(block)(**values)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _origins(settings: Settings, explicit: Mapping[str, str]) -> Origins:
    found: Origins = {}
    for part in Settings.model_fields:
        block = getattr(settings, part)
        if not isinstance(block, Block):
            found[part] = (block, explicit.get(part, "default"))
            continue
        for name in type(block).model_fields:
            dotted = f"{part}.{name}"
            found[dotted] = (getattr(block, name), explicit.get(dotted, "default"))
    return found
