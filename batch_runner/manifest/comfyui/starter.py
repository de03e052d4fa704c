"""Write a first manifest for a workflow file, for `batch-runner init`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from batch_runner.manifest.comfyui.inputs import Input, Kind
from batch_runner.manifest.starter import DEFAULT_WORKFLOW, WORKFLOWS, as_literal, yaml_scalar
from batch_runner.util.locale import tr

_TEXT = """\
# Show what would be sent:                     batch-runner plan THIS_FILE
# Try the whole job without a server:          batch-runner run THIS_FILE --rehearse
# Run it on your own ComfyUI:                  batch-runner run THIS_FILE

provider: comfyui
# Your server. For several write base_urls: [http://gpu1:8188, http://gpu2:8188]
base_url: http://127.0.0.1:8188

# A workflow in API format, relative to this file. A changed workflow makes new items.
workflow: {workflow}

# Values by node and field, laid over the workflow. {{{{ prompt }}}} is replaced by each prompt
# below; {{{{ seed() }}}} is another number for each item and repeat, and the same one tomorrow.
params:
{params}
{rest}
# One item for each line. Put quotes around text with a colon or a # in it.
prompts:
{prompts}
# A long list belongs in a file: a text file with a prompt on each line, or a table (.csv, .xlsx …).
# prompts_from: prompts.txt

# Generate each prompt several times, or with every combination of some words:
# repeat: 2
# matrix:
#   style: [paper-cut, ink wash]      # then write {{{{ style }}}} in params or prompts

# A task on your own server costs nothing. If it does, as on a rented one, say how much:
# limits: {{price: 0.02 USD, max_cost: 5 USD}}
"""


def workflow_starter(workflow: str, chosen: Sequence[Input], files: Mapping[str, str]) -> str:
    """Return the text of a manifest that varies the inputs `chosen` of the file `workflow`.

    The first text is the prompt, and so is every other one of its kind. `files` are the paths of
    the images that were chosen, by NODE.FIELD.

    Raises:
        ValueError: there is no text among them.
    """
    texts = [one for one in chosen if one.kind.is_text]
    if not texts:
        raise ValueError(tr("choose at least one text: it takes the prompts"))
    names = _variables(chosen, texts[0])
    params: dict[str, list[str]] = {}
    for one in chosen:
        value = "{{ seed() }}" if one.kind is Kind.SEED else f"{{{{ {names[one.name]} }}}}"
        field = f"    {yaml_scalar(one.field)}: {json.dumps(value)}"
        params.setdefault(one.node, []).append(field)
    lines = [
        line
        for node, fields in params.items()
        for line in (f"  {json.dumps(node, ensure_ascii=False)}:", *fields)
    ]
    own = str(texts[0].value).strip()
    prompts = [own] if own else []
    prompts += [WORKFLOWS[DEFAULT_WORKFLOW].prompts[1]]
    return _TEXT.format(
        workflow=yaml_scalar(as_literal(workflow)),
        params="\n".join(lines),
        rest=_rest(chosen, names, files),
        prompts="\n".join(f"  - {yaml_scalar(as_literal(one))}" for one in prompts),
    )


def _variables(chosen: Sequence[Input], prompt: Input) -> dict[str, str]:
    """Return the variable of each input by NODE.FIELD."""
    names: dict[str, str] = {}
    for one in chosen:
        wanted = {Kind.NEGATIVE: "negative", Kind.IMAGE: "image"}.get(one.kind, one.field)
        if one.kind is prompt.kind:
            wanted = "prompt"
        elif wanted in names.values() or not wanted.isidentifier() or wanted == "prompt":
            wanted = re.sub(r"\W", "_", f"input_{one.name}")
        names[one.name] = wanted
    return names


def _rest(chosen: Sequence[Input], names: Mapping[str, str], files: Mapping[str, str]) -> str:
    defaults: dict[str, Any] = {
        names[one.name]: one.value
        for one in chosen
        if one.kind not in (Kind.SEED, Kind.IMAGE) and names[one.name] != "prompt"
    }
    text = ""
    if files:
        text += "\n# Files to upload, relative to this file.\nfiles:\n"
        text += "".join(f"  {names[one]}: {yaml_scalar(as_literal(files[one]))}\n" for one in files)
        first = names[next(iter(files))]
        text += f"# For many files write instead:\n# files_from: {{{first}: photos/*.jpg}}\n"
    if defaults:
        text += "\n# What the workflow has. A prompt can have its own: - {prompt: …, NAME: …}\n"
        text += "defaults:\n"
        for name, value in defaults.items():
            written = yaml_scalar(value) if isinstance(value, str) else json.dumps(value)
            text += f"  {name}: {written}\n"
    return text
