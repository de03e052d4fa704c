"""The options that set limits and the network, and the text of `--show-config`.

Which value counts is decided in `config.resolve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.output import print_json, print_line
from batch_runner.config.environment import BLOCKS, limit_variable
from batch_runner.config.resolve import WHOLE_NUMBERS, flag_name
from batch_runner.settings import Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.config.resolve import Origins
    from batch_runner.settings import Network

_HELP = {
    "reuse": "Items that another job of yours has submitted: use its results (always), ask on a "
    "terminal and hold them elsewhere (ask), or pay again (never)",
    "rate": "Submissions per second, minute or hour, at most, such as 5/s or 300/min",
    "in_flight": "Tasks submitted and not finished, at most",
    "poll_rate": "Status requests per second, at most, such as 10/s",
    "max_submissions": "Submissions over all runs of the job, at most: the spending cap",
    "max_cost": "Cost over all runs of the job, at most, such as 30 CNY",
    "run_for": "Stop the run after this time, such as 90m or 8h. The next run continues",
    "proxy": "Proxy of all requests, such as http://proxy.example:3128",
    "trust_env": "Use the proxies that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name",
    "until": "Stop the run at this local time of day, such as 06:30. The next run continues",
}
_METAVARS = {"reuse": "[always|ask|never]", "proxy": "URL", "trust_env": "[yes|no]"}
_DEFAULTS = {None: "none", False: "no"}


def settings_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each of these settings; `given_flags` reads them."""
    settings = Settings()
    for name, block in reversed(BLOCKS.items()):
        if name == "keep_awake":
            command = _keep_awake_flag(command)
            continue
        default = getattr(getattr(settings, block) if block else settings, name)
        command = click.option(
            flag_name(name),
            name,
            metavar="N" if name in WHOLE_NUMBERS else _METAVARS.get(name, "VALUE"),
            help=f"{_HELP[name]} (default: {_DEFAULTS.get(default, default)}; "
            f"env {limit_variable(name)}).",
        )(command)
    return command


def _keep_awake_flag(command: Callable[..., Any]) -> Callable[..., Any]:
    name = limit_variable("keep_awake")
    text = f"Let the computer go to sleep during the run (default: keep it awake; env {name})."
    return click.option("--no-keep-awake", "keep_awake", flag_value="no", default=None, help=text)(
        command
    )


def given_flags(options: dict[str, str | None]) -> dict[str, str]:
    """Return the options that the command line sets, for `resolve_settings`."""
    return {name: text for name, text in options.items() if text is not None}


def print_settings(origins: Origins, *, as_json: bool) -> None:
    """Print every setting with its origin, as JSON lines or as a manifest would contain it."""
    for name, (value, origin) in sorted(origins.items()):
        if as_json:
            print_json({"setting": name, "value": value, "from": origin})
        else:
            print_line(f"{name} = {_setting_text(value)}  ({origin})")


def _setting_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # all of them are seconds
        return f"{value:.12g}s"
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return str(value) if value not in (None, "") else "not set"


def warn_about_service(provider: str, network: Network, *, quiet: bool = False) -> None:
    """Warn about a key file that others may read, and a proxy variable that is not used."""
    from batch_runner.providers.credentials import ignored_proxy_warning, key_file_warning

    if quiet:
        return
    environment = utf8_environment()
    for text in (
        key_file_warning(provider, environment),
        ignored_proxy_warning(provider, environment, network),
    ):
        if text is not None:
            print_line(tr("warning: {text}", text=text), error=True)
