"""`schedule`: a crontab line, systemd service and timer, or launchd agent for a manifest.

With --worker: a systemd service for a worker of a cluster.
"""

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
    ManifestType,
    PathType,
    help_epilog,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_file_content, print_line
from batch_runner.cli.scheduled_environment import (
    check_secrets,
    cluster_secret,
    environment_of_run,
    environment_of_worker,
    key_of,
    keys_of_worker,
    print_environment,
)
from batch_runner.config.resolve import resolve_settings
from batch_runner.errors import UsageError
from batch_runner.integrations.crontab import crontab_line, install_crontab, time_zones
from batch_runner.integrations.launchd import (
    agent_path,
    install_agent,
    launch_agent,
    remove_command,
)
from batch_runner.integrations.schedule import ScheduleEntry, parse_days, unit_name
from batch_runner.integrations.systemd import (
    WORKER_UNIT,
    install_units,
    systemd_units,
    unit_folder,
    worker_unit,
)
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, native_path, utf8_environment, utf8_text
from batch_runner.util.text import printable

_PROGRAM = (utf8_text(native_path(sys.executable)), "-m", "batch_runner")


@help_epilog(
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --days mon-fri --install",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --systemd --install --yes",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --launchd --install",
    "batch-runner schedule --systemd --worker --install",
    exit_status={
        "0": "The lines were printed and, with --install and your consent, installed.",
        **USAGE_ERROR,
        "3": "The input ended at the question of --install. Nothing was changed.",
    },
)
@click.command("schedule")
@click.argument("manifest", type=ManifestType(), metavar="[MANIFEST]", required=False)
@output_option
@rehearsal_option
@click.option("--cluster", is_flag=True, help="Let the workers of the cluster process the items.")
@click.option(
    "--worker",
    is_flag=True,
    help="With --systemd: a service that runs `batch-runner worker` on this host all the time; it "
    "needs neither MANIFEST nor --at.",
)
@click.option(
    "--at",
    metavar="HH:MM",
    help="Time of day on this machine's clock, such as 01:30; needed for a MANIFEST (default: "
    "none).",
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
    manifest: Path | None,
    output: Path | None,
    *,
    rehearse: bool,
    cluster: bool,
    worker: bool,
    at: str | None,
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
    if worker:
        if not systemd:
            raise UsageError(tr("--worker makes a service of systemd: add --systemd"))
        _schedule_worker(manifest, key_file, install=install, yes=yes)
        return 0
    if manifest is None:
        raise click.MissingParameter(param_type="argument", param_hint="MANIFEST")
    if at is None:
        raise click.MissingParameter(param_type="option", param_hint="--at")
    if cluster and rehearse:
        raise UsageError(tr("a rehearsal runs on this host alone: leave out --cluster"))
    scheduler = _SYSTEMD if systemd else _LAUNCHD if launchd else _CRONTAB
    loaded = load_manifest(manifest)
    # Fail now if the scheduled run would reject these settings.
    resolve_settings(loaded, flags={}, environment=utf8_environment())
    environment = environment_of_run(loaded.provider)
    secrets = [cluster_secret()] if cluster else []
    if not rehearse and (key := key_of(loaded.provider, key_file)) is not None:
        secrets.append(key)
    entry = ScheduleEntry(
        job=loaded.job,
        manifest=manifest.absolute(),
        command=_command(manifest, output, rehearse=rehearse, cluster=cluster),
        at=at,
        days=parse_days(days),
        secrets=secrets,
        environment=environment,
    )
    print_file_content(scheduler.text(entry).rstrip("\n"))
    _print_clock(at, {} if systemd or launchd else time_zones(entry))
    print_environment(environment)
    if loaded.objects is not None and not rehearse and output is None:
        print_line(
            tr(
                "scheduled runs do not have the AWS_ variables of this shell, which {address} "
                "needs: see `batch-runner help outputs`",
                address=loaded.objects,
            ),
            error=True,
        )
    check_secrets(secrets, install=install)
    if install:
        for _ in loaded.items():  # report invalid items now, not when it runs
            pass
        _install(scheduler.place(entry), lambda: scheduler.install(entry), yes=yes)
    return 0


def _schedule_worker(
    manifest: Path | None, key_file: Path | None, *, install: bool, yes: bool
) -> None:
    """Print the service of a worker, or install it.

    It gets the key of the manifest's service; without a manifest, each key that has a file.
    """
    provider = None if manifest is None else load_manifest(manifest).provider
    environment = environment_of_worker()
    secrets = [cluster_secret(), *keys_of_worker(provider, key_file)]
    units = worker_unit([*_PROGRAM, "worker"], secrets, environment)
    print_file_content(_placed_text(units).rstrip("\n"))
    print_environment(environment)
    check_secrets(secrets, install=install)
    if install:
        _install(str(unit_folder()), lambda: _install_worker(units), yes=yes)


def _command(manifest: Path, output: Path | None, *, rehearse: bool, cluster: bool) -> list[str]:
    command = [*_PROGRAM, "run", utf8_text(manifest.absolute()), "--quiet"]
    command += ["--if-locked", "skip"]
    if rehearse:
        command.append("--rehearse")
    if cluster:
        command.append("--cluster")
    if output is not None:
        command += ["--output", utf8_text(output.absolute())]
    return command


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scheduler:
    """What starts runs. `install` returns what the user should know afterwards."""

    text: Callable[[ScheduleEntry], str]
    place: Callable[[ScheduleEntry], str]
    install: Callable[[ScheduleEntry], str]


def _install_crontab(entry: ScheduleEntry) -> str:
    install_crontab(entry)
    return tr("installed; to remove it: crontab -e")


def _placed_text(units: dict[str, str]) -> str:
    return "\n".join(f"# {unit_folder() / name}\n{text}" for name, text in units.items())


def _install_units(entry: ScheduleEntry) -> str:
    timer = f"{unit_name(entry.job)}.timer"
    install_units(systemd_units(entry), timer)
    return _installed_text(timer)


def _install_worker(units: dict[str, str]) -> str:
    install_units(units, WORKER_UNIT)
    return _installed_text(WORKER_UNIT)


def _installed_text(unit: str) -> str:
    command = f"systemctl --user disable --now {unit}"
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
    text=lambda entry: _placed_text(systemd_units(entry)),
    place=lambda _: str(unit_folder()),
    install=_install_units,
)
_LAUNCHD = _Scheduler(
    text=launch_agent,
    place=lambda entry: str(agent_path(entry.job)),
    install=_install_agent,
)


def _install(place: str, install: Callable[[], str], *, yes: bool) -> None:
    if not yes:
        if not is_interactive():
            raise UsageError(
                tr(
                    "--install asks on a terminal, and there is none: use --yes. "
                    "Nothing was changed"
                )
            )
        if not click.confirm(tr("Install this in {place}?", place=place), err=True):
            print_line(tr("nothing was changed"), error=True)
            return
    print_line(install(), error=True)
