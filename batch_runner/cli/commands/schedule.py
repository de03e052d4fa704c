"""`schedule`: a crontab line, systemd service and timer, or launchd agent for a manifest."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from batch_runner.api.steps import load_manifest
from batch_runner.cli.confirm import is_interactive
from batch_runner.cli.options import (
    USAGE_ERROR,
    PathType,
    help_epilog,
    manifest_argument,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_file_content, print_line
from batch_runner.config.environment import OUTPUT_VARIABLE, PROXY_VARIABLE, VARIABLES
from batch_runner.config.resolve import resolve_settings
from batch_runner.config.user_config import user_config_path
from batch_runner.errors import UsageError
from batch_runner.integrations.crontab import crontab_line, install_crontab, time_zones
from batch_runner.integrations.launchd import (
    agent_path,
    install_agent,
    launch_agent,
    remove_command,
)
from batch_runner.integrations.schedule import ScheduleEntry, home_of_user, parse_days, unit_name
from batch_runner.integrations.systemd import install_units, systemd_units, unit_folder
from batch_runner.providers import PROVIDERS, ProviderInfo
from batch_runner.providers.credentials import base_urls_of, check_base_url
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, native_path, utf8_environment, utf8_text
from batch_runner.util.text import printable


@help_epilog(
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --days mon-fri --install",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --systemd --install --yes",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --launchd --install",
    exit_status={
        "0": "The lines were printed and, with --install and your consent, installed.",
        **USAGE_ERROR,
        "3": "The input ended at the question of --install. Nothing was changed.",
    },
)
@click.command("schedule")
@manifest_argument
@output_option
@rehearsal_option
@click.option(
    "--at",
    required=True,
    metavar="HH:MM",
    help="Time of day on this machine's clock, such as 01:30.",
)
@click.option(
    "--days",
    default="daily",
    metavar="DAYS",
    help="Days, such as mon-fri or sat,sun (default: daily).",
)
@click.option("--systemd", is_flag=True, help="Use a systemd service and timer (default: crontab).")
@click.option("--launchd", is_flag=True, help="Use a launchd agent, on macOS (default: crontab).")
@click.option(
    "--key-file",
    type=PathType(),
    metavar="FILE",
    help="File that holds the API key (default: ~/.config/batch-runner/PROVIDER-key).",
)
@click.option("--install", is_flag=True, help="Install it, after showing it and asking.")
@click.option("--yes", is_flag=True, help="With --install: do not ask first.")
def command(
    manifest: Path,
    output: Path | None,
    *,
    rehearse: bool,
    at: str,
    days: str,
    systemd: bool,
    launchd: bool,
    key_file: Path | None,
    install: bool,
    yes: bool,
) -> int:
    """Print a crontab line that runs MANIFEST at a time of day, or install it.

    With --systemd, print a service and a timer instead; with --launchd, an agent of macOS.

    The line takes along the settings of this shell, and the key by the name of its file. Installing
    again replaces the line.
    """
    if systemd and launchd:
        raise UsageError(tr("choose one of --systemd and --launchd"))
    scheduler = _SYSTEMD if systemd else _LAUNCHD if launchd else _CRONTAB
    loaded = load_manifest(manifest)
    # Fail now if the scheduled run would reject these settings.
    resolve_settings(loaded, flags={}, environment=utf8_environment())
    provider = PROVIDERS[loaded.provider]
    environment = _environment(provider)
    key = None if rehearse else _key_path(key_file, loaded.provider)
    if key_file is None and key is not None and not provider.needs_key and not _holds_a_key(key):
        key = None
    entry = ScheduleEntry(
        job=loaded.job,
        manifest=manifest.absolute(),
        command=_command(manifest, output, rehearse=rehearse),
        at=at,
        days=parse_days(days),
        key=None if key is None else (provider.key_variable, key),
        environment=environment,
    )
    print_file_content(scheduler.text(entry).rstrip("\n"))
    _print_clock(at, {} if systemd or launchd else time_zones(entry))
    for name, text in environment.items():
        print_line(
            tr(
                "scheduled runs have {name}={value}, as this shell",
                name=name,
                value=printable(text),
            ),
            error=True,
        )
    if loaded.objects is not None and not rehearse and output is None:
        print_line(
            tr(
                "scheduled runs do not have the AWS_ variables of this shell, which {address} "
                "needs: see `batch-runner help outputs`",
                address=loaded.objects,
            ),
            error=True,
        )
    if key is not None and not _holds_a_key(key):
        _report_missing_key(key, install=install)
    if install:
        for _ in loaded.items():  # report invalid items now, not when it runs
            pass
        _install(entry, scheduler, yes=yes)
    return 0


def _command(manifest: Path, output: Path | None, *, rehearse: bool) -> list[str]:
    command = [utf8_text(native_path(sys.executable)), "-m", "batch_runner", "run"]
    command += [utf8_text(manifest.absolute()), "--quiet"]
    command += ["--if-locked", "skip"]
    if rehearse:
        command.append("--rehearse")
    if output is not None:
        command += ["--output", utf8_text(output.absolute())]
    return command


def _environment(provider: ProviderInfo) -> dict[str, str]:
    # cron and systemd do not see the variables of this shell, and the spending cap is among them.
    names = [name for name in VARIABLES if name != OUTPUT_VARIABLE]  # that becomes --output
    names += ["XDG_CONFIG_HOME", "XDG_STATE_HOME"]
    given = utf8_environment()
    found = {name: text for name in names if (text := given.get(name))}
    if "@" in found.get(PROXY_VARIABLE, ""):
        raise UsageError(
            tr(
                "{variable} holds a password, which the schedule would show; write it as "
                "network.proxy into {path}",
                variable=PROXY_VARIABLE,
                path=user_config_path(given) or "config.yaml",
            )
        )
    name = provider.base_url_variable
    if address := given.get(name, "").strip():
        for url in base_urls_of(provider, given):
            check_base_url(url, name)  # refuses one that holds a secret
        found[name] = address
    return found


def _key_path(given: Path | None, provider: str) -> Path:
    if given is not None:
        return given.expanduser().absolute()
    return home_of_user() / f".config/batch-runner/{provider}-key"


def _print_clock(at: str, time_zones: dict[str, str]) -> None:
    """Print on which clock `at` is; `time_zones` are the CRON_TZ and TZ of the crontab."""
    lines = [tr("{time} is on this machine's clock, which now shows {now}", time=at, now=_now())]
    if zone := time_zones.get("CRON_TZ"):
        lines.append(
            tr(
                "but your crontab sets CRON_TZ={zone}: a cron that knows CRON_TZ starts the run at "
                "{time} of that time zone",
                zone=printable(zone, 40),
                time=at,
            )
        )
    if zone := time_zones.get("TZ"):
        lines.append(
            tr(
                "your crontab sets TZ={zone}: the run reads limits.until in that time zone",
                zone=printable(zone, 40),
            )
        )
    for line in lines:
        print_line(line, error=True)


def _now() -> str:
    """Return the time on the machine's clock, whatever time zone this shell uses."""
    try:
        with Utf8Path("/etc/localtime").open("rb") as file:
            here = datetime.now(ZoneInfo.from_file(file))
    except (OSError, ValueError):
        here = datetime.now(UTC)
    return f"{here:%H:%M} (UTC{here:%z})"


def _holds_a_key(path: Path) -> bool:
    try:
        return bool(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False


def _report_missing_key(key: Path, *, install: bool) -> None:
    text = tr(
        "{path} contains no key: put it there, or name another file with --key-file", path=key
    )
    if install:
        raise UsageError(text)
    print_line(text, error=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scheduler:
    """What starts runs. `install` returns what the user should know afterwards."""

    text: Callable[[ScheduleEntry], str]
    place: Callable[[ScheduleEntry], str]
    install: Callable[[ScheduleEntry], str]


def _install_crontab(entry: ScheduleEntry) -> str:
    install_crontab(entry)
    return tr("installed; to remove it: crontab -e")


def _units_text(entry: ScheduleEntry) -> str:
    texts = [f"# {unit_folder() / name}\n{text}" for name, text in systemd_units(entry).items()]
    return "\n".join(texts)


def _install_units(entry: ScheduleEntry) -> str:
    install_units(entry)
    command = f"systemctl --user disable --now {unit_name(entry.job)}.timer"
    return tr(
        "installed. To run while you are logged out: loginctl enable-linger\n"
        "to remove it: {command}",
        command=command,
    )


def _install_agent(entry: ScheduleEntry) -> str:
    load = install_agent(entry)
    remove = f"{remove_command(entry.job)}; rm {shlex.quote(str(agent_path(entry.job)))}"
    return tr(
        "written. To start it now: {load}\n"
        "It runs while you are logged in; macOS makes up for a run that it slept through\n"
        "to remove it: {remove}",
        load=load,
        remove=remove,
    )


_CRONTAB = _Scheduler(
    text=lambda entry: f"{entry.marker}\n{crontab_line(entry)}",
    place=lambda _: tr("your crontab"),
    install=_install_crontab,
)
_SYSTEMD = _Scheduler(
    text=_units_text,
    place=lambda _: str(unit_folder()),
    install=_install_units,
)
_LAUNCHD = _Scheduler(
    text=launch_agent,
    place=lambda entry: str(agent_path(entry.job)),
    install=_install_agent,
)


def _install(entry: ScheduleEntry, scheduler: _Scheduler, *, yes: bool) -> None:
    if not yes:
        if not is_interactive():
            raise UsageError(
                tr(
                    "--install asks on a terminal, and there is none: use --yes. "
                    "Nothing was changed"
                )
            )
        question = tr("Install this in {place}?", place=scheduler.place(entry))
        if not click.confirm(question, err=True):
            print_line(tr("nothing was changed"), error=True)
            return
    print_line(scheduler.install(entry), error=True)
