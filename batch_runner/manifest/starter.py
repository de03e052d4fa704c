"""The first manifest of someone who has none yet."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from batch_runner.manifest.templates.sandbox import MARKERS
from batch_runner.manifest.yaml.scalars import resolve_scalar

WORKFLOW = "year_of_the_horse_greeting_card"
FIELD = "6.text"
PROMPTS = (
    "A cheerful paper-cut horse under red lanterns, Happy New Year 2026",
    "An ink-wash horse in falling snow",
    "马年大吉，剪纸风格的骏马",
)

_TEXT = """\
# What is to be made, how fast, and where it goes. Check it: batch-runner plan THIS_FILE
# Try it for free first: batch-runner run THIS_FILE --rehearse

{job}

# The service's own id of the workflow.
workflow: {workflow}

# What the workflow wants: node, field, value. {{{{ prompt }}}} becomes each text below in turn.
params:
  {node}:
    {field}: "{{{{ prompt }}}}"

# One picture for each line. Put quotes around text with a colon or a # in it.
prompts:
{prompts}

# How fast, and how much at most. Ask the service what it allows.
limits:
  rate: 1/s            # create requests, at most
  in_flight: 20        # tasks waiting at the service, at most
  # max_submissions: 100         # never create more than this, over all runs
  # price: 0.12 CNY    # what one picture costs: plan and report then tell the sum

# Several pictures of each prompt, or every combination of some words:
# repeat: 2
# matrix:
#   style: [paper-cut, ink wash]      # then write {{{{ style }}}} in params or prompts

# Where the pictures go, seen from this file, and what they are called:
# output: {{folder: out/my-job, name: "{{{{ id }}}}"}}
"""


def starter(
    *,
    workflow: str = WORKFLOW,
    field: str = FIELD,
    job: str | None = None,
    prompts: Sequence[str] = PROMPTS,
) -> str:
    """Return the text of a manifest that loads, with a comment at each of its parts.

    `field` is where the prompt goes, as node and field with a dot between them.

    Raises:
        ValueError: `field` has no dot, or there is no prompt.
    """
    node, dot, name = field.partition(".")
    if not (node and dot and name):
        raise ValueError(f"wanted a node and a field such as {FIELD}, this is {field}")
    if not any(prompt.strip() for prompt in prompts):
        raise ValueError("wanted at least one prompt")
    named = "# The job is called like this file, or:\n# job: horse-cards"
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
    """Return a text as YAML, without quotes where they are not needed."""
    if _UNQUOTED.fullmatch(text) and resolve_scalar(text) == text:
        return text
    # JSON would write an emoji as a pair of escapes, which is not YAML.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def _literal(prompt: str) -> str:
    """Return a prompt as a template that renders to it."""
    return MARKERS.sub(lambda mark: "{{ '" + mark[0] + "' }}", prompt)
