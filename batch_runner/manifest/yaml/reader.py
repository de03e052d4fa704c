"""Read YAML text into a tree of values with locations. No other module uses the YAML parser.

The parser's events are processed one by one, because checking after building is not safe: a hundred
thousand nested brackets crash the C loader with a segmentation fault, and a page of aliases expands
to gigabytes. Depth, size and refused features are therefore checked for each event, and the tree
(see `nodes`) is built without recursion.

Refused, each at its location: anchors, aliases, merge keys, tags, a second document, duplicate
keys, control characters, and values that YAML 1.1 and 1.2 read differently. A syntax error ends
parsing; `repair` removes it and the text is parsed again, so that one missing quote does not hide
other errors.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from batch_runner.manifest.diagnostics import Diagnostics, Location
from batch_runner.manifest.yaml.builder import Builder, MisreadError
from batch_runner.manifest.yaml.look_alikes import look_alike
from batch_runner.manifest.yaml.mistake import Mistake, has_content, line_of, repair
from batch_runner.manifest.yaml.nodes import Mapping, Node, Sequence
from batch_runner.manifest.yaml.syntax_errors import explain
from batch_runner.manifest.yaml.text_file import read_text
from batch_runner.util.locale import tr

#: Most syntax errors that are repaired in one file.
MAX_REPAIRS = 20
#: Longest text that is parsed again after a repair, in characters; longer ones take too long.
MAX_REPAIRED = 5_000_000

#: Lines before a syntax error that are searched for full-width signs.
_SEARCHED = 40

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: Path, label: str, diagnostics: Diagnostics) -> Mapping | None:
    """Return the manifest's top mapping, None if there is none (and that was reported)."""
    text = read_text(path, label, diagnostics)
    if text is None:
        return None
    if not text.strip():
        diagnostics.add(
            Location(label),
            tr("the file is empty"),
            hint=tr("batch-runner init writes a first manifest"),
        )
        return None
    root = parse(text, label, diagnostics)
    if root is None:
        if not diagnostics:
            diagnostics.add(Location(label), tr("the file contains only comments"))
        return None
    if not isinstance(root, Mapping):
        kind = tr("a list") if isinstance(root, Sequence) else tr("text")
        diagnostics.add(
            root.location(label),
            tr("a manifest is a mapping of keys to values, this is {kind}", kind=kind),
            hint=tr("start with a line such as workflow: year_of_the_horse_greeting_card"),
        )
        return None
    return root


def parse(text: str, label: str, diagnostics: Diagnostics) -> Node | None:
    """Return the document as a tree; None if it cannot be parsed."""
    repaired: set[int] = set()  # lines
    for _ in range(MAX_REPAIRS):
        builder = Builder(text, label, diagnostics)
        try:
            return builder.build(yaml.parse(text, Loader=_LOADER))
        except MisreadError as error:
            lines = range(error.first, error.last + 1)
            found = (look_alike(line, line_of(text, line)) for line in lines)
            mistakes = [mistake for mistake in found if mistake is not None]
        except yaml.YAMLError as error:
            explained = explain(error, text, builder.last_quoted)
            mistakes = _full_width(error, text) or [explained]
            if mistakes[0].line in repaired:
                return None  # the first error of this line was reported
            # What was found in a text that began too early is false.
            for line in range(mistakes[0].line, _line_of(error) + 1):
                diagnostics.forget(label, line)
        for mistake in mistakes:
            if mistake.line in repaired:
                return None  # the first error of this line was reported
            repaired.add(mistake.line)
            # Further problems of a misread line are false.
            diagnostics.forget(label, mistake.line)
            location = Location(label, mistake.line, mistake.column)
            diagnostics.add(location, mistake.message, hint=mistake.hint)
            changed = repair(text, mistake)
            if changed is None or len(text) > MAX_REPAIRED:
                return None
            text = changed
    return None


def _full_width(error: yaml.YAMLError, text: str) -> list[Mistake]:
    """Return the lines with full-width signs, if ASCII signs in them would remove the error.

    The error may be in one of these lines, or in all of them.
    """
    line = _line_of(error)
    if text.isascii() or len(text) > MAX_REPAIRED:
        return []
    context = getattr(error, "context_mark", None)
    before = next((n for n in range(line - 1, 0, -1) if has_content(line_of(text, n))), line)
    likely = dict.fromkeys((line, int(context.line) + 1 if context else line, before))
    first = max(1, line - _SEARCHED)
    for numbers in (*((number,) for number in likely), range(first, line + 1)):
        found = (look_alike(number, line_of(text, number)) for number in numbers)
        mistakes = [mistake for mistake in found if mistake is not None]
        changed = text
        for mistake in mistakes:
            changed = repair(changed, mistake) or changed
        if mistakes and _first_error(changed) > line:
            return mistakes
    return []


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return int(mark.line) + 1 if mark else 1


def _first_error(text: str) -> float:
    """Return the line of the first syntax error, infinity if there is none."""
    try:
        for _ in yaml.parse(text, Loader=_LOADER):
            pass
    except yaml.YAMLError as error:
        return _line_of(error)
    return math.inf
