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
from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import REHEARSAL
from batch_runner.providers import KEY_VARIABLES, PROVIDERS
from batch_runner.util.locale import tr
from batch_runner.util.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service


class FolderType(click.Path):
    """Folder path option that rejects "" (an unset shell variable), not the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


manifest_argument = click.argument(
    "manifest", type=click.Path(path_type=Path, dir_okay=False), metavar="MANIFEST"
)
output_option = click.option(
    "--output",
    type=FolderType(path_type=Path, file_okay=True),
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
    return load(path, providers=PROVIDERS, key_variable=KEY_VARIABLES)


def output_folder(manifest: Manifest, output: Path | None, *, rehearse: bool = False) -> Path:
    """Return the job's absolute output folder; a rehearsal has one of its own beside it.

    Raises:
        UsageError: the path of the folder or of the manifest is not valid UTF-8.
        FolderRefused: the folder cannot be read.
    """
    folder = (output or manifest.output_folder).absolute()
    for path in (folder, manifest.path.absolute()):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UsageError(
                tr("{path}: a path must be UTF-8", path=printable(str(path)))
            ) from None
    folder = folder.with_name(f"{folder.name}.{REHEARSAL}") if rehearse else folder
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
