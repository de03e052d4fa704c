"""Ask which inputs of a workflow file a first manifest varies, for `init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, find_existing, utf8_text
from batch_runner.util.text import error_reason, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_runner.manifest.comfyui.graph import Graph
    from batch_runner.manifest.comfyui.inputs import Input

#: Characters of a value that are shown.
_WIDTH = 50


def is_workflow_file(workflow: str) -> bool:
    """Return whether `--workflow` names a file, not a workflow of a service."""
    return workflow.lower().endswith(".json") or find_existing(workflow).is_file()


def manifest_of_workflow(
    manifest: Path, workflow: Path, field: str | None, *, asks: bool
) -> dict[Path, bytes]:
    """Return path → content of a manifest for a workflow file, which stays where it is.

    Without `asks`, the positive prompt and the seeds are varied. `field` takes the prompt.

    Raises:
        UsageError: the file is no workflow in API format, or has no text to vary.
    """
    from batch_runner.manifest.comfyui.inputs import Kind, find_inputs, usual_choice
    from batch_runner.manifest.comfyui.starter import workflow_starter

    graph = _read(workflow)
    inputs = find_inputs(graph)
    if field is not None:
        named = _field_of(graph, workflow, field)
        others = [one for one in inputs if one.name != named.name]
        inputs = [named, *others]
    usual = [*inputs[:1], *(one for one in inputs if one.kind is Kind.SEED)]
    if field is None:
        usual = usual_choice(inputs)
    if not any(one.kind.is_text and one.kind is not Kind.NEGATIVE for one in inputs):
        raise UsageError(
            tr(
                "{path} has no text that could take a prompt; name the field with --field "
                "NODE.FIELD, or write the manifest by hand: batch-runner help comfyui",
                path=utf8_text(workflow),
            )
        )
    chosen = _ask_inputs(graph, workflow, inputs, usual) if asks else usual
    images = [one for one in chosen if one.kind is Kind.IMAGE]
    files = {one.name: _ask_file(one, manifest) for one in images}
    folder = manifest.absolute().parent.resolve()
    target = workflow.absolute().parent.resolve() / workflow.name
    reference = _relative(target, folder)
    return {manifest: workflow_starter(reference, chosen, files).encode()}


def _relative(target: Path, folder: Path) -> str:
    """Return the path of `target` as seen from `folder`; both are absolute."""
    up = 0
    while not target.is_relative_to(folder):
        folder, up = folder.parent, up + 1
    return "../" * up + utf8_text(target.relative_to(folder))


def _read(path: Path) -> Graph:
    from batch_runner.manifest.comfyui.reading import WorkflowRefusedError, read_workflow

    label = printable(utf8_text(path))
    try:
        return read_workflow(find_existing(path), label).graph
    except WorkflowRefusedError as error:
        where = f"{error.location}: " if error.location else f"{label}: "
        hint = "\n" + tr("hint: {hint}", hint=error.hint) if error.hint else ""
        raise UsageError(f"{where}{error}{hint}") from None
    except OSError as error:
        reason = error_reason(error)
        raise UsageError(tr("cannot read {path}: {reason}", path=label, reason=reason)) from None


def _field_of(graph: Graph, workflow: Path, field: str) -> Input:
    from batch_runner.manifest.comfyui.inputs import Input, Kind
    from batch_runner.manifest.starter import split_field

    try:
        node, name = split_field(field)
    except ValueError as error:
        raise UsageError(str(error)) from None
    value = graph[node]["inputs"].get(name) if node in graph else None
    if not isinstance(value, str):
        raise UsageError(
            tr("{path} has no text in {field}", path=utf8_text(workflow), field=printable(field))
        )
    return Input(node, name, Kind.POSITIVE, value)


def _ask_inputs(
    graph: Graph, workflow: Path, inputs: Sequence[Input], usual: Sequence[Input]
) -> list[Input]:
    from batch_runner.manifest.comfyui.graph import node_text

    print_line(tr("Inputs of {path}:", path=utf8_text(workflow)), error=True)
    for number, one in enumerate(inputs, 1):
        node = printable(node_text(graph, one.node), _WIDTH)
        value = printable(" ".join(str(one.value).split()), _WIDTH)
        kind, field = tr(one.kind.value), printable(one.field)
        print_line(f"  {number:>2}  {kind}: {field} = {value}   [{node}]", error=True)

    def checked(answer: str) -> list[Input]:
        words = answer.replace(",", " ").split()
        if not words or not all(word in map(str, range(1, len(inputs) + 1)) for word in words):
            raise click.BadParameter(
                tr("wanted numbers from 1 to {count}, such as 1,2", count=len(inputs))
            )
        chosen = [inputs[int(word) - 1] for word in dict.fromkeys(words)]
        if not any(one.kind.is_text for one in chosen):
            raise click.BadParameter(tr("choose at least one text: it takes the prompts"))
        return chosen

    default = ",".join(str(inputs.index(one) + 1) for one in usual)
    question = tr("Inputs to vary (their numbers)")
    found: list[Input] = click.prompt(question, default=default, value_proc=checked, err=True)
    return found


def _ask_file(image: Input, manifest: Path) -> str:
    """Return the path of an image, relative to the manifest."""

    def checked(answer: str) -> str:
        path = find_existing(Utf8Path(manifest.parent) / answer.strip())
        if not answer.strip() or not path.is_file():
            raise click.BadParameter(tr("there is no file {path}", path=answer))
        return answer.strip()

    question = tr("Image for {field}, a path relative to the manifest", field=image.name)
    return str(click.prompt(question, value_proc=checked, err=True))
