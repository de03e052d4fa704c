"""Write a first manifest, for `batch-runner init`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from batch_runner.manifest.templates.sandbox import MARKERS
from batch_runner.manifest.yaml.scalars import resolve_scalar
from batch_runner.util.locale import tr

WORKFLOW = "year_of_the_horse_greeting_card"
FIELD = "6.text"
PROMPTS = (
    "A cheerful paper-cut horse under red lanterns, Happy New Year 2026",
    "An ink-wash horse in falling snow",
    "马年大吉，剪纸风格的骏马",
)

_TEXT = """\
# Show what would be sent and what it costs:  batch-runner plan THIS_FILE
# Try the whole job for free, on this machine: batch-runner run THIS_FILE --rehearse

{job}

# Id of the workflow at the service.
workflow: {workflow}

# Values by node and field of the workflow. {{{{ prompt }}}} is replaced by each prompt below.
params:
  {node}:
    {field}: "{{{{ prompt }}}}"

# One item for each line. Put quotes around text with a colon or a # in it.
prompts:
{prompts}

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


def starter(
    *,
    workflow: str = WORKFLOW,
    field: str = FIELD,
    job: str | None = None,
    prompts: Sequence[str] = PROMPTS,
) -> str:
    """Return the text of a valid manifest with comments.

    `field` is where the prompt goes, as NODE.FIELD.

    Raises:
        ValueError: `field` has no dot, or there is no prompt.
    """
    node, dot, name = field.partition(".")
    if not (node and dot and name):
        raise ValueError(
            tr(
                "wanted a node and a field such as {field}, this is {field2}",
                field=FIELD,
                field2=field,
            )
        )
    if not any(prompt.strip() for prompt in prompts):
        raise ValueError(tr("wanted at least one prompt"))
    named = "# The job is named like this file. To give it another name:\n# job: horse-cards"
    if job:
        named = f"job: {_scalar(job)}"
    lines = [f"  - {_scalar(_literal(prompt))}" for prompt in prompts if prompt.strip()]
    return _TEXT.format(
        job=named,
        workflow=_scalar(workflow),
        node=json.dumps(node, ensure_ascii=False),
        field=_scalar(name),
        prompts="\n".join(lines),
    )


_UNQUOTED = re.compile(r"[^\W\d_](?:(?![:#]\s|\s#|:$|\s$)[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff])*")


def _scalar(text: str) -> str:
    """Return a text as YAML, with quotes only if needed."""
    if _UNQUOTED.fullmatch(text) and resolve_scalar(text) == text:
        return text
    # JSON would write an emoji as a pair of escapes, which YAML does not have.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def _literal(prompt: str) -> str:
    """Return a template that renders to the prompt."""
    return MARKERS.sub(lambda mark: "{{ '" + mark[0] + "' }}", prompt)
