"""What several commands share: options, help, the manifest and the folder they work on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from batch_runner.config.environment import OUTPUT_VARIABLE, check_environment
from batch_runner.errors import UsageError
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.paths import JobFolder, find_job
from batch_runner.models import REHEARSAL
from batch_runner.providers import KEY_VARIABLES, PROVIDERS
from batch_runner.util.locale import tr
from batch_runner.util.paths import (
    Utf8Path,
    decode_argument,
    find_existing,
    is_utf8,
    utf8_text,
)
from batch_runner.util.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service


class PathType(click.Path):
    """Path option that keeps the bytes that were typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(Utf8Path(value), param, ctx)


class FolderType(PathType):
    """Folder path option that rejects "" (an unset shell variable), not the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


class PathOption(click.Option):
    """Option for a path, whose environment variable is decoded as an argument is."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        value = super().resolve_envvar_value(ctx)
        return None if value is None else decode_argument(os.fsencode(value))


manifest_argument = click.argument("manifest", type=PathType(dir_okay=False), metavar="MANIFEST")
output_option = click.option(
    "--output",
    cls=PathOption,
    type=FolderType(),
    metavar="FOLDER",
    help="Output folder (default: output.folder of the manifest, else out/JOB beside it; "
    f"env {OUTPUT_VARIABLE}).",
    envvar=OUTPUT_VARIABLE,
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON lines on standard output (default: text)."
)
rehearsal_option = click.option(
    "--rehearse",
    is_flag=True,
    help="Use the rehearsal: the built-in simulator and a folder of its own, FOLDER.rehearsal. "
    "It is free and needs no key.",
)

#: Exit statuses that mean the same for several commands.
USAGE_ERROR = {"2": "The command, a setting or the manifest is wrong. Nothing was sent or changed."}
JOURNAL_ERROR = {"3": "The journal could not be read or written."}
LOCKED = {"5": "Another run is working on the job. Nothing was changed."}
_ALWAYS = {
    "70": "A bug in this program.",
    "130, 143": "Ended by SIGINT (130), or by SIGTERM or SIGHUP (143).",
}


def help_epilog(
    *examples: str, exit_status: Mapping[str, str]
) -> Callable[[click.Command], click.Command]:
    """Return a decorator that ends a command's help with examples and its exit statuses."""
    rows = sorted((_ALWAYS | dict(exit_status)).items(), key=lambda row: int(row[0].split(",")[0]))
    parts = [
        "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples),
        "\b\nExit status:\n" + "\n".join(f"  {code:<8}  {text}" for code, text in rows),
    ]

    def decorate(command: click.Command) -> click.Command:
        command.epilog = "\n\n".join(parts)
        return command

    return decorate


def load_manifest(path: Path) -> Manifest:
    """Return the manifest at `path`, checked in everything but its items.

    Raises:
        UsageError: an unknown BATCH_RUNNER_ variable is set.
        ManifestError: the manifest is invalid; holds every problem that was found.
    """
    from batch_runner.manifest import load

    check_environment(os.environ)
    return load(find_existing(path), providers=PROVIDERS, key_variable=KEY_VARIABLES)


def output_folder(manifest: Manifest, output: Path | None, *, rehearse: bool = False) -> Path:
    """Return the job's absolute output folder; a rehearsal has one of its own beside it.

    Raises:
        UsageError: the folder does not exist, and its path is not valid UTF-8.
        FolderRefused: the folder cannot be read.
    """
    if output is None:
        folder, within = manifest.output_folder, manifest.path.absolute().parent
    else:
        folder, within = output.absolute(), Utf8Path.cwd()
    if rehearse:
        folder = folder.with_name(f"{utf8_text(folder.name)}.{REHEARSAL}")
    folder = find_job(folder, within)
    if not is_utf8(str(folder)) and not os.path.lexists(folder):
        path = printable(utf8_text(folder))
        raise UsageError(tr("{path}: a path must be UTF-8", path=path))
    _check_readable(JobFolder(folder))
    return folder


def _check_readable(folder: JobFolder) -> None:
    for path in (folder.marker, folder.journal):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise folder.output_folder_error(error) from error


def job_folder(manifest_path: Path, output: Path | None, *, rehearse: bool = False) -> JobFolder:
    """Return the existing folder of the job described by the file `manifest_path`.

    Raises:
        UsageError: the job has never been run.
    """
    return folder_of(load_manifest(manifest_path), output, rehearse=rehearse)


def folder_of(manifest: Manifest, output: Path | None, *, rehearse: bool = False) -> JobFolder:
    """Return the existing folder of the job described by `manifest`.

    Raises:
        UsageError: the job has never been run.
    """
    folder = JobFolder(output_folder(manifest, output, rehearse=rehearse))
    if not folder.journal.exists() and not folder.marker.exists():
        raise UsageError(tr("the job in {folder} has not been run yet", folder=folder.root))
    return folder


def identity_of(manifest: Manifest, service: Service | None) -> JobIdentity:
    """Return the identity of the job; without a service, of its rehearsal."""
    origin = REHEARSAL
    if service is not None:
        parts = urlsplit(service.base_url)
        origin = f"{parts.scheme}://{parts.netloc}"
    return JobIdentity(job=manifest.job, provider=manifest.provider, origin=origin)
