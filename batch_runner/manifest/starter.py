"""Write a first manifest, for `batch-runner init`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from batch_runner.manifest.templates.sandbox import MARKERS
from batch_runner.manifest.yaml.scalars import resolve_scalar
from batch_runner.util.locale import mark_tr, tr


class KnownWorkflow(NamedTuple):
    """A workflow that the service's documents describe.

    `prompt` is the usual NODE.FIELD of the prompt; `photo` that of an uploaded photo, None without.
    """

    about: str
    prompt: str
    photo: str | None
    prompts: tuple[str, ...]


#: Id → workflow. The fields may change at the service: a manifest names its own.
WORKFLOWS = {
    "year_of_the_horse_greeting_card": KnownWorkflow(
        mark_tr("greeting cards"),
        "6.text",
        None,
        (
            "A cheerful paper-cut horse under red lanterns, Happy New Year 2026",
            "An ink-wash horse in falling snow",
            "马年大吉，剪纸风格的骏马",
        ),
    ),
    "wedding_photo_retouching": KnownWorkflow(
        mark_tr("retouches a photo"),
        "22.prompt",
        "113.url",
        (
            "Warm evening light, soft skin tones, the faces as they are",
            "The look of an analogue film with fine grain and gentle contrast",
        ),
    ),
}
DEFAULT_WORKFLOW = next(iter(WORKFLOWS))
#: One of the files of the examples.
SAMPLE_PHOTO = "photos/bridal_couple.jpg"

_TEXT = """\
# Show what would be sent and what it costs:  batch-runner plan THIS_FILE
# Try the whole job for free, on this machine: batch-runner run THIS_FILE --rehearse

# The job is named like this file. To give it another name:
# job: my-job

# Id of the workflow at the service.
workflow: {workflow}

# Values by node and field of the workflow. {{{{ prompt }}}} is replaced by each prompt below.
params:
  {node}:
    {field}: "{{{{ prompt }}}}"
{photo}
# One item for each line. Put quotes around text with a colon or a # in it.
prompts:
{prompts}
# A long list belongs in a file: a text file with a prompt on each line, or a table (.csv, .xlsx …).
# prompts_from: prompts.txt

# Limits of this job. Ask the service what it allows.
limits:
  rate: 1/s            # submissions, at most
  in_flight: 20        # tasks submitted and not finished, at most
  # max_submissions: 100   # submissions over all runs of this job, at most
  # price: 0.12 CNY        # price of one submission: plan and report then show the cost

# Generate each prompt several times, or with every combination of some words:
# repeat: 2
# matrix:
#   style: [paper-cut, ink wash]      # then write {{{{ style }}}} in params or prompts

# Output folder, relative to this file, and file names:
# output: {{folder: out/my-job, name: "{{{{ id }}}}"}}
"""
_PHOTO = """\
  # Replaced by what the service calls the uploaded photo.
  {node}:
    {field}: "{{{{ photo }}}}"

# Files to upload, relative to this file. This one is a sample: name your own.
files:
  photo: {path}
# For many photos write instead:
# files_from: {{photo: photos/*.jpg}}
"""


def starter(
    *,
    workflow: str = DEFAULT_WORKFLOW,
    field: str | None = None,
    prompts: Sequence[str] | None = None,
) -> str:
    """Return the text of a valid manifest with comments.

    `field` is where the prompt goes, as NODE.FIELD. None stands for the usual field or prompts of a
    known workflow. The manifest of a workflow with a photo reads SAMPLE_PHOTO.

    Raises:
        ValueError: a field has no dot, or there is no prompt.
    """
    known = WORKFLOWS.get(workflow, WORKFLOWS[DEFAULT_WORKFLOW])
    prompts = known.prompts if prompts is None else prompts
    if not any(prompt.strip() for prompt in prompts):
        raise ValueError(tr("wanted at least one prompt"))
    node, name = _yaml_field(field or known.prompt)
    photo = ""
    if known.photo:
        photo_node, photo_name = _yaml_field(known.photo)
        photo = _PHOTO.format(node=photo_node, field=photo_name, path=SAMPLE_PHOTO)
    return _TEXT.format(
        workflow=yaml_scalar(workflow),
        node=node,
        field=name,
        photo=photo,
        prompts="\n".join(f"  - {yaml_scalar(as_literal(one))}" for one in prompts if one.strip()),
    )


def split_field(field: str) -> tuple[str, str]:
    """Return node and name of NODE.FIELD.

    Raises:
        ValueError: it is not of this form.
    """
    node, _, name = field.strip().partition(".")
    if not (node and name):
        example = WORKFLOWS[DEFAULT_WORKFLOW].prompt
        raise ValueError(
            tr(
                "wanted a node and a field such as {field}, this is {field2}",
                field=example,
                field2=field,
            )
        )
    return node, name


def _yaml_field(field: str) -> tuple[str, str]:
    """Return node and name of NODE.FIELD as YAML."""
    node, name = split_field(field)
    return json.dumps(node, ensure_ascii=False), yaml_scalar(name)


_UNQUOTED = re.compile(r"[^\W\d_](?:(?![:#]\s|\s#|:$|\s$)[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff])*")


def yaml_scalar(text: str) -> str:
    """Return a text as YAML, with quotes only if needed."""
    if _UNQUOTED.fullmatch(text) and resolve_scalar(text) == text:
        return text
    # JSON would write an emoji as a pair of escapes, which YAML does not have.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def as_literal(prompt: str) -> str:
    """Return a template that renders to the prompt."""
    return MARKERS.sub(lambda mark: "{{ '" + mark[0] + "' }}", prompt)
