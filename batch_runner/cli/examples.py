"""The example manifests, which `batch-runner init --example` copies."""

from __future__ import annotations

from typing import NamedTuple

from batch_runner.util.locale import mark_tr
from batch_runner.util.paths import native_path

_PACKAGE = native_path(__file__).parent.parent


class Example(NamedTuple):
    """What an example shows, and the files that its manifest reads."""

    about: str
    files: tuple[str, ...] = ()


#: Name → example, the simplest first. The manifest is `jobs/NAME.yaml`.
EXAMPLES = {
    "minimal": Example(mark_tr("two prompts, nothing else")),
    "year_of_the_horse": Example(mark_tr("26 prompts in several languages, with limits")),
    "lines": Example(mark_tr("a prompt on each line of a text file"), ("prompts.txt",)),
    "matrix": Example(mark_tr("every combination of some words")),
    "csv": Example(mark_tr("one card for each row of a CSV file"), ("names.csv",)),
    "photos": Example(
        mark_tr("a photo that is uploaded and retouched, each prompt twice"),
        ("photos/bridal_couple.jpg",),
    ),
    "comfyui_cards": Example(
        mark_tr("the cards of year_of_the_horse on your own ComfyUI server"),
        ("comfyui_cards_workflow.json",),
    ),
}


def example_file(name: str) -> bytes:
    """Return the content of a file of the examples: a manifest, or what one reads.

    Raises:
        OSError: it cannot be read.
    """
    shipped = _PACKAGE / "jobs"  # in a wheel; in a source tree the folder is beside the package
    folder = shipped if shipped.is_dir() else _PACKAGE.parent / "jobs"
    return (folder / name).read_bytes()
