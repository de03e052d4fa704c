"""`schedule`: a crontab line, or a systemd service and timer, for a manifest."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import click

from batch_runner.cli.options import examples, load_manifest, manifest_argument, output_option, say
from batch_runner.errors import UsageError
from batch_runner.settings import CLOCK_PATTERN


@examples(
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30",
    "batch-runner schedule jobs/year_of_the_horse.yaml --at 01:30 --systemd",
)
@click.command("schedule", short_help="Print a crontab line or systemd units for a manifest.")
@manifest_argument
@output_option
@click.option("--at", required=True, metavar="HH:MM", help="Time of day, local, such as 01:30.")
@click.option("--systemd", is_flag=True, help="A systemd service and timer in place of crontab.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    default=Path("~/.config/batch-runner/baicai-key"),
    help="File that holds the key (default ~/.config/batch-runner/baicai-key).",
)
def verb(manifest: Path, output: Path | None, *, at: str, systemd: bool, key_file: Path) -> int:
    """Print what runs MANIFEST every night: absolute paths, the key by reference, no overlap."""
    job = load_manifest(manifest).job
    if not re.match(CLOCK_PATTERN, at):
        raise UsageError(f"--at {at!r}: wanted a time of day such as 01:30")
    command = [sys.executable, "-m", "batch_runner", "run", str(manifest.absolute()), "--quiet"]
    command += ["--if-locked", "skip"]
    if output is not None:
        command += ["--output", str(output.absolute())]
    key = Path(os.path.expandvars(key_file)).expanduser().absolute()
    say(systemd_units(job, at, command, key) if systemd else crontab_line(at, command, key))
    return 0


def crontab_line(at: str, command: list[str], key: Path) -> str:
    """Return a line for crontab; a % would end the command there, so it is escaped."""
    hour, minute = (int(part) for part in at.split(":"))
    text = f"BAICAI_API_KEY_FILE={shlex.quote(str(key))} {shlex.join(command)}"
    return f"{minute} {hour} * * * " + text.replace("%", "\\%")


def systemd_units(job: str, at: str, command: list[str], key: Path) -> str:
    """Return a service and a timer for the user's systemd, each under its file name."""
    name = "batch-runner-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", job)
    start = " ".join(_quoted(word) for word in command)
    return (
        f"# ~/.config/systemd/user/{name}.service\n"
        f"[Unit]\nDescription=Carry the job {job.replace('%', '%%')} to its files\n\n"
        "[Service]\nType=oneshot\n"
        f"LoadCredential=BAICAI_API_KEY:{str(key).replace('%', '%%')}\n"
        f"ExecStart={start}\n# 1: items to look at, 3: goes on next time\n"
        "SuccessExitStatus=3\nTimeoutStopSec=120\n\n"
        f"# ~/.config/systemd/user/{name}.timer\n"
        f"[Unit]\nDescription=Every night at {at}\n\n"
        f"[Timer]\nOnCalendar=*-*-* {at}:00\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def _quoted(word: str) -> str:
    """Return one word of ExecStart: % and $ mean something there."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
