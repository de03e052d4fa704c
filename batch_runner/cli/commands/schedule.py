"""`schedule`: a crontab line, or a systemd service and timer, for a manifest."""

from __future__ import annotations

import sys
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
from batch_runner.config.environment import OUTPUT_VARIABLE, VARIABLES
from batch_runner.config.resolve import resolve_settings
from batch_runner.errors import UsageError
from batch_runner.integrations.crontab import crontab_line, install_crontab
from batch_runner.integrations.schedule import ScheduleEntry, parse_days
from batch_runner.integrations.systemd import (
    install_units,
    systemd_units,
    unit_folder,
    unit_name,
)
from batch_runner.providers import PROVIDERS, ProviderInfo
from batch_runner.providers.credentials import check_base_url
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, native_path, utf8_environment, utf8_text
from batch_runner.util.text import printable


@help_epilog(
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --days mon-fri --install",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --systemd --install --yes",
    exit_status={
        "0": "The lines were printed and, with --install and your consent, installed.",
        **USAGE_ERROR,
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
    key_file: Path | None,
    install: bool,
    yes: bool,
) -> int:
    """Print a crontab line that runs MANIFEST at a time of day, or install it.

    The line takes along the settings of this shell, and the key by the name of its file. Installing
    again replaces the line.
    """
    loaded = load_manifest(manifest)
    # Fail now if the scheduled run would reject these settings.
    resolve_settings(loaded, flags={}, environment=utf8_environment())
    provider = PROVIDERS[loaded.provider]
    environment = _environment(provider)
    key = None if rehearse else _key_path(key_file, loaded.provider)
    entry = ScheduleEntry(
        job=loaded.job,
        manifest=manifest.absolute(),
        command=_command(manifest, output, rehearse=rehearse),
        at=at,
        days=parse_days(days),
        key=None if key is None else (provider.key_variable, key),
        environment=environment,
    )
    if systemd:
        texts = [f"# {unit_folder() / name}\n{t}" for name, t in systemd_units(entry).items()]
        print_file_content("\n".join(texts).rstrip("\n"))
    else:
        print_file_content(f"{entry.marker}\n{crontab_line(entry)}")
    print_line(
        tr("{time} is on this machine's clock, which now shows {now}", time=at, now=_now()),
        error=True,
    )
    for name, text in environment.items():
        print_line(
            tr(
                "scheduled runs have {name}={value}, as this shell",
                name=name,
                value=printable(text),
            ),
            error=True,
        )
    if key is not None and not _holds_a_key(key):
        _report_missing_key(key, install=install)
    if install:
        for _ in loaded.items():  # report invalid items now, not when it runs
            pass
        _install(entry, systemd=systemd, yes=yes)
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
    name = provider.base_url_variable
    if address := given.get(name, "").strip():
        check_base_url(address, name)  # refuses one that holds a secret
        found[name] = address
    return found


def _key_path(given: Path | None, provider: str) -> Path:
    path = given or Utf8Path(f"~/.config/batch-runner/{provider}-key")
    return path.expanduser().absolute()


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


def _install(entry: ScheduleEntry, *, systemd: bool, yes: bool) -> None:
    if not yes:
        if not is_interactive():
            raise UsageError(
                tr(
                    "--install asks on a terminal, and there is none: use --yes. "
                    "Nothing was changed"
                )
            )
        place = unit_folder() if systemd else tr("your crontab")
        question = tr("Install this in {place}?", place=place)
        if not click.confirm(question, err=True):
            print_line(tr("nothing was changed"), error=True)
            return
    if systemd:
        install_units(entry)
        out = f"systemctl --user disable --now {unit_name(entry.job)}.timer"
        print_line(
            tr(
                "installed. To run while you are logged out: loginctl enable-linger\n"
                "to remove it: {command}",
                command=out,
            ),
            error=True,
        )
    else:
        install_crontab(entry)
        print_line(tr("installed; to remove it: crontab -e"), error=True)
