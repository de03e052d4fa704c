"""`completion`: the script that lets a shell complete commands, options and manifests."""

from __future__ import annotations

import click

from batch_runner.cli.options import help_epilog
from batch_runner.cli.output import print_line

#: The variable by which click's scripts ask this program for completions.
_VARIABLE = "_BATCH_RUNNER_COMPLETE"


@help_epilog(
    "batch-runner completion bash > ~/.local/share/bash-completion/completions/batch-runner",
    "batch-runner completion zsh > ~/.zfunc/_batch-runner    # with ~/.zfunc in fpath",
    "batch-runner completion fish > ~/.config/fish/completions/batch-runner.fish",
    exit_status={"0": "The script was printed.", "2": "The command is wrong."},
)
@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the script that completes commands, options and YAML files in a shell."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None  # noqa: S101  the choices are those of click
    print_line(script(ctx.find_root().command, {}, "batch-runner", _VARIABLE).source())
    return 0
