"""`providers`: the services that a manifest can name, and descriptions of further ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.options import USAGE_ERROR, PathType, help_epilog, json_option
from batch_runner.cli.output import print_file_content, print_json, print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import mark_tr, tr
from batch_runner.util.paths import find_existing, utf8_text
from batch_runner.util.text import fitted, printable, width

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.providers import ProviderInfo

#: What a provider can do → how it is said.
_ABILITIES = {
    "upload": mark_tr("uploads input files"),
    "cancel": mark_tr("cancels tasks"),
    "resolve": mark_tr("resolves submissions without a response"),
}


@help_epilog(
    "batch-runner providers",
    "batch-runner providers show bfl",
    "batch-runner providers check my-service.yaml",
    exit_status={"0": "The providers were listed.", **USAGE_ERROR},
)
@click.group("providers", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> int:
    """List the services that `provider` of a manifest can name, and what each can do.

    Built-in ones come first, then your own descriptions in the folder providers of the config
    folder (~/.config/batch-runner). Beside a manifest, a description is in its folder providers.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from batch_runner.providers import PROVIDERS

    names = list(PROVIDERS)
    column = max(map(width, names))
    for name in names:
        try:
            info = PROVIDERS[name]
        except UsageError as error:
            print_line(f"{name}: {error}", error=True)
            continue
        if as_json:
            print_json(_provider_object(name, info))
            continue
        print_line(f"{fitted(name, column)}  {printable(tr(info.title))}")
        print_line(f"{' ' * column}  {_summary(info)}")
    return 0


def _summary(info: ProviderInfo) -> str:
    """Return what a provider needs and can do, in one line."""
    key = (
        tr("key: {variable}", variable=info.key_variable) if info.needs_key else tr("no key needed")
    )
    abilities = [tr(_ABILITIES[name]) for name in info.can]
    tried = [] if info.tried else [tr("not tried with the real service")]
    return "; ".join([key, *abilities, *tried])


def _provider_object(name: str, info: ProviderInfo) -> dict[str, object]:
    return {
        "provider": name,
        "title": info.title,
        "base_url": info.base_url,
        "base_url_variable": info.base_url_variable,
        "key_variable": info.key_variable if info.needs_key else None,
        "params": info.params_shape,
        "workflow": info.needs_workflow,
        "own_server": info.own_server,
        "can": list(info.can),
        "tried": info.tried,
        "source": info.source,
        "description": None if info.path is None else utf8_text(info.path),
    }


@help_epilog(
    "batch-runner providers show bfl",
    "batch-runner providers show bfl > my-service.yaml",
    exit_status={"0": "The provider was shown.", **USAGE_ERROR},
)
@command.command("show")
@click.argument("name")
def show(name: str) -> int:
    """Print the description of a provider: the YAML file, to read or to start a new one from.

    What a description may contain: `batch-runner help services`.
    """
    from batch_runner.manifest.diagnostics import did_you_mean
    from batch_runner.providers import PROVIDERS

    if name not in PROVIDERS:
        known = tr("known: {names}", names=", ".join(PROVIDERS))
        hint = did_you_mean(name, PROVIDERS, otherwise=known)
        raise UsageError(
            tr("there is no provider {provider}", provider=printable(name)) + f"; {hint}"
        )
    info = PROVIDERS[name]
    if info.path is not None:
        print_file_content(info.path.read_text(encoding="utf-8-sig"))
        return 0
    print_line(f"{name}: {tr(info.title)}")
    for label, value in (
        (tr("address"), f"{info.base_url} ({info.base_url_variable})"),
        (tr("documentation"), info.source),
        (tr("can"), _summary(info)),
    ):
        print_line(f"  {label}: {value}")
    return 0


@help_epilog(
    "batch-runner providers check my-service.yaml",
    exit_status={
        "0": "The description is valid, and reads its examples as it should.",
        "1": "An example is not read as it should be.",
        **USAGE_ERROR,
    },
)
@command.command("check")
@click.argument("file", type=PathType(exists=True, dir_okay=False))
def check(file: Path) -> int:
    """Check a description, and play its examples: every call, against a server on this machine.

    Each line is a call, what was read from the response, and the request that was sent. Nothing is
    sent to the service.
    """
    import anyio

    from batch_runner.providers.declarative.playing import play

    findings = anyio.run(play, find_existing(file))
    for one in findings:
        mark = tr("ok") if one.good else tr("wrong")
        print_line(f"{mark}  {one.name}: {one.seen}")
    wrong = sum(not one.good for one in findings)
    if wrong:
        print_line(tr("{wrong} of {all} are wrong", wrong=wrong, all=len(findings)), error=True)
    return 1 if wrong else 0


@help_epilog(
    "batch-runner providers approve providers/my-service.yaml",
    exit_status={"0": "The description is approved.", **USAGE_ERROR},
)
@command.command("approve")
@click.argument("file", type=PathType(exists=True, dir_okay=False))
def approve(file: Path) -> int:
    """Approve a description that lies beside a manifest, as it is now.

    Its service gets your prompts, and the key that its variable holds. If the file is changed, it
    must be approved again.
    """
    from batch_runner.providers import approvals
    from batch_runner.providers.declarative.reading import content_of, description_of

    path = find_existing(file)
    content = content_of(path)
    description = description_of(content, path)
    approvals.approve(content, path.name)
    print_line(
        tr("approved: {path}, a service at {url}", path=utf8_text(path), url=description.base_url)
    )
    return 0
