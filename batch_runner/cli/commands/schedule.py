"""`schedule`: a crontab line, or a systemd service and timer, for a manifest."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from batch_runner.cli.options import (
    examples,
    load_manifest,
    manifest_argument,
    output_option,
    rehearsal_option,
    say,
    say_either,
)
from batch_runner.cli.settings import effective_settings, limits_in, variables
from batch_runner.errors import UsageError
from batch_runner.integrations.autostart import (
    ScheduleEntry,
    crontab_line,
    install_crontab,
    install_units,
    parse_days,
    systemd_units,
    unit_folder,
    unit_name,
)
from batch_runner.providers import PROVIDERS, ProviderInfo
from batch_runner.providers.credentials import TRUST_ENV_VARIABLE, check_base_url
from batch_runner.util.locale import reader_language, wording
from batch_runner.util.text import printable


@examples(
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --days mon-fri --install",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --systemd --install --yes",
)
@click.command("schedule", short_help="Run a manifest every night, from crontab or systemd.")
@manifest_argument
@output_option
@rehearsal_option
@click.option(
    "--at",
    required=True,
    metavar="HH:MM",
    help="Time by the machine's clock, such as 01:30.",
)
@click.option("--days", default="daily", help="Such as mon-fri, or sat,sun (default daily).")
@click.option("--systemd", is_flag=True, help="A systemd service and timer in place of crontab.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="File that holds the key (default ~/.config/batch-runner/PROVIDER-key).",
)
@click.option("--install", is_flag=True, help="Put it in place, after showing it and asking.")
@click.option("--yes", is_flag=True, help="With --install: do not ask.")
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
    """Print what runs MANIFEST at a time of day, or --install it: a second time replaces it."""
    loaded = load_manifest(manifest)
    effective_settings(loaded, limits_in(os.environ))  # a night that would refuse them is no night
    provider = PROVIDERS[loaded.provider]
    environment = _environment(provider)
    key = None if rehearse else _key_path(key_file, loaded.provider)
    timetable = ScheduleEntry(
        job=loaded.job,
        manifest=manifest.absolute(),
        command=_command(manifest, output, rehearse=rehearse),
        at=at,
        days=parse_days(days),
        key=None if key is None else (provider.key_variable, key),
        environment=environment,
    )
    if systemd:
        texts = [f"# {unit_folder() / name}\n{t}" for name, t in systemd_units(timetable).items()]
        say("\n".join(texts).rstrip("\n"))
    else:
        say(f"{timetable.marker}\n{crontab_line(timetable)}")
    say_either(
        f"{at} is by this machine's clock, where it is {_now()}",
        f"{at} 以本机时钟为准，本机现在是 {_now()}",
        error=True,
    )
    for name, text in environment.items():
        say_either(
            f"at night {name} is {printable(text)}, as in this shell",
            f"夜间运行时 {name} 为 {printable(text)}，与本终端相同",
            error=True,
        )
    if key is not None and not _holds_a_key(key):
        _key_is_missing(key, install=install)
    if install:
        for _ in loaded.items():  # what is wrong with one of them is told now, not at night
            pass
        _install(timetable, systemd=systemd, yes=yes)
    return 0


def _command(manifest: Path, output: Path | None, *, rehearse: bool) -> list[str]:
    command = [sys.executable, "-m", "batch_runner", "run", str(manifest.absolute()), "--quiet"]
    command += ["--if-locked", "skip"]
    if rehearse:
        command.append("--rehearse")
    if output is not None:
        command += ["--output", str(output.absolute())]
    return command


def _environment(provider: ProviderInfo) -> dict[str, str]:
    # Neither cron nor systemd knows the shell in which they were set; the cap is among them.
    names = (*variables(), TRUST_ENV_VARIABLE, "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    found = {name: text for name in names if (text := os.environ.get(name))}
    name = provider.base_url_variable
    if address := os.environ.get(name, "").strip():
        check_base_url(address, name)  # it must not hold a secret
        found[name] = address
    return found


def _key_path(given: Path | None, provider: str) -> Path:
    path = given or Path(f"~/.config/batch-runner/{provider}-key")
    return path.expanduser().absolute()


def _now() -> str:
    """Return the time by the machine's clock, whatever zone this shell is in."""
    try:
        with Path("/etc/localtime").open("rb") as file:
            here = datetime.now(ZoneInfo.from_file(file))
    except (OSError, ValueError):
        here = datetime.now(UTC)
    return f"{here:%H:%M} (UTC{here:%z})"


def _holds_a_key(path: Path) -> bool:
    try:
        return bool(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False


def _key_is_missing(key: Path, *, install: bool) -> None:
    if install:
        raise UsageError(f"{key} holds no key: put it there, or name another --key-file")
    say_either(
        f"{key} holds no key: put it there, or name its file with --key-file",
        f"{key} 中没有密钥：请把密钥放在那里，或用 --key-file 指定文件",
        error=True,
    )


def _install(timetable: ScheduleEntry, *, systemd: bool, yes: bool) -> None:
    language = reader_language(sys.stderr)
    if not yes:
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("--install asks on a terminal; elsewhere say --yes; nothing changed")
        place = unit_folder() if systemd else wording(language, "your crontab", "您的 crontab")
        question = wording(language, f"Put this into {place}?", f"写入 {place} 吗？")
        if not click.confirm(question, err=True):
            say_either("nothing was changed", "未作任何改动", error=True)
            return
    if systemd:
        install_units(timetable)
        out = f"systemctl --user disable --now {unit_name(timetable.job)}.timer"
        say_either(
            f"in place. To run while you are logged out: loginctl enable-linger\nout again: {out}",
            f"已写入。若要在注销后也运行：loginctl enable-linger\n撤销：{out}",
            error=True,
        )
    else:
        install_crontab(timetable)
        say_either("in place. Out again: crontab -e", "已写入。撤销：crontab -e", error=True)
