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

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.yaml.nodes import BROKEN, Mapping, Node, Scalar, Sequence
from batch_runner.manifest.yaml.scalars import AmbiguousScalar, resolve_scalar
from batch_runner.manifest.yaml.syntax_errors import (
    BROKEN_TAG,
    MAX_DEPTH,
    explain,
    repair,
    was_repaired,
)
from batch_runner.util.locale import mark_tr, tr

MAX_BYTES = 64_000_000
MAX_NODES = 2_000_000

#: Most syntax errors that are repaired in one file.
MAX_REPAIRS = 20
#: Longest text that is parsed again after a repair, in characters; longer ones take too long.
MAX_REPAIRED = 5_000_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# NEL and the Unicode separators are line ends in YAML, but not in editors: the line numbers of
# messages would be wrong.
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)"
)

_PLAIN = b"\t\n" + bytes(range(32, 127))


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


def read_text(path: Path, label: str, diagnostics: Diagnostics) -> str | None:
    """Return the file's text, None if it cannot be read or is not valid text."""
    try:
        if not path.is_file():
            what = tr("this is a folder") if path.is_dir() else tr("there is no such file")
            diagnostics.add(
                Location(label),
                what if path.is_dir() or not path.exists() else tr("this is not a regular file"),
            )
            return None
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        diagnostics.add(Location(label), tr("the file cannot be read: {reason}", reason=reason))
        return None
    if len(data) > MAX_BYTES:
        diagnostics.add(
            Location(label),
            tr("the file is larger than {max_bytes} MB", max_bytes=MAX_BYTES // 1_000_000),
            hint=tr("put long lists into a CSV or JSONL file and name it under items_from"),
        )
        return None
    return decode(data, label, diagnostics)


def decode(data: bytes, label: str, diagnostics: Diagnostics) -> str | None:
    """Return UTF-8 bytes as text, None if they are not UTF-8 or contain control characters."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig", errors="replace")
        diagnostics.add(
            _location(label, good, len(good)),
            tr("byte 0x{data:02x} is not UTF-8", data=data[error.start]),
            hint=tr("save the file with the encoding UTF-8"),
        )
        return None
    suspect = data.translate(None, _PLAIN)  # quick: empty for most files
    marks = list(_FORBIDDEN.finditer(text))[:MAX_REPAIRS] if suspect else []
    for mark in marks:
        code = ord(mark[0][0])
        diagnostics.add(
            _location(label, text, mark.start()),
            tr("the control character U+{code:04X} is not allowed in a manifest", code=code),
            hint=tr('remove it, or write it as "\\u{code:04x}" in double quotes', code=code),
        )
    return None if marks else text


def parse(text: str, label: str, diagnostics: Diagnostics) -> Node | None:
    """Return the document as a tree; None if it cannot be parsed."""
    for _ in range(MAX_REPAIRS):
        builder = _Builder(text, label, diagnostics)
        try:
            return builder.build(yaml.parse(text, Loader=_LOADER))
        except yaml.YAMLError as error:
            mistake = explain(error, text)
            if diagnostics and was_repaired(text, mistake.line):
                return None  # the first error of this line was reported
            location = Location(label, mistake.line, mistake.column)
            diagnostics.forget(label, mistake.line)  # further problems of a misread line are false
            diagnostics.add(location, mistake.message, hint=mistake.hint)
            repaired = repair(text, mistake)
            if repaired is None or len(text) > MAX_REPAIRED:
                return None
            text = repaired
    return None


def _location(label: str, text: str, index: int) -> Location:
    line = text.count("\n", 0, index) + 1
    return Location(label, line, index - (text.rfind("\n", 0, index) + 1) + 1)


class _TooMuchError(Exception):
    """A limit was exceeded; the rest of the document is not read."""


class _Builder:
    """Builds the tree from the parser's events; a new one is used for each text."""

    def __init__(self, text: str, label: str, diagnostics: Diagnostics) -> None:
        self._text = text
        self._has_comments = "#" in text
        self._label = label
        self._diagnostics = diagnostics
        self._root: Node | None = None
        self._open: list[Sequence | Mapping] = []
        self._key: list[Scalar | None] = []  # key whose value comes next, one per open node
        self._key_end = -1  # where the last key ends in the text
        self._documents = 0

    def build(self, events: Iterator[Any]) -> Node | None:
        """Return the root; None if a limit was exceeded or the document is empty."""
        nodes = 0
        try:
            for event in events:
                nodes += 1
                if nodes > MAX_NODES:
                    self._stop(
                        event, tr("the file has more than {max_nodes} values", max_nodes=MAX_NODES)
                    )
                self._take(event)
        except _TooMuchError:
            return None
        return self._root

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.SequenceStartEvent:
            self._enter(event, Sequence)
        elif kind is yaml.MappingStartEvent:
            self._enter(event, Mapping)
        elif kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
            self._open.pop()
            self._key.pop()
        elif kind is yaml.AliasEvent:
            self._refuse(
                event,
                tr("*{anchor} is an alias, which manifests cannot use", anchor=event.anchor),
                _REPEAT,
            )
            self._put(Scalar(*_at(event), BROKEN))
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                self._stop(event, tr("a second document starts here; a manifest is one document"))

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        node = Scalar(mark.line + 1, mark.column + 1, event.value)
        if event.tag == BROKEN_TAG and self._diagnostics:  # written by a repair
            node.value = BROKEN
        elif event.anchor is not None or event.tag is not None:
            self._refuse_extras(event)
            node.value = BROKEN if event.tag is not None else event.value
        elif self._is_key_next():
            self._key_end = event.end_mark.index
            if event.implicit[0] and event.value == "<<":
                self._refuse(event, tr("<< is a merge key, which manifests cannot use"), _REPEAT)
        elif event.implicit[0]:
            node.value = self._resolve(event)
        self._put(node)

    def _resolve(self, event: Any) -> Any:
        """Return the value of an unquoted scalar."""
        if not event.value and event.start_mark.index == self._key_end:
            return self._cut_by_comma(event)
        value = resolve_scalar(event.value)
        if isinstance(value, AmbiguousScalar):
            self._refuse(event, value.message, value.hint)
            return BROKEN
        if self._has_comments and isinstance(value, str) and value:
            self._check_comment(event)
        return value

    def _cut_by_comma(self, event: Any) -> Any:
        """Refuse `{text: A horse, in snow}`: in YAML, "in snow" is a second key without a value."""
        key = self._key[-1]
        if key is None or key.value is BROKEN:
            return BROKEN
        at = key.value
        end = event.start_mark
        location = Location(self._label, end.line + 1, max(1, end.column + 1 - len(at)))
        message = tr(
            "{at!r} is read as a key: inside {{ }} a comma ends the text before it", at=excerpt(at)
        )
        self._diagnostics.add(location, message, hint=tr("put the text with the comma in quotes"))
        return BROKEN

    def _check_comment(self, event: Any) -> None:
        """Refuse text that a comment seems to cut short: "Horse #1 in the snow"."""
        end = event.end_mark.index
        rest = _CUT_SHORT.match(self._text, end)
        if rest:
            column = event.end_mark.column + 1 + rest.start(1) - end
            self._diagnostics.add(
                Location(self._label, event.end_mark.line + 1, column),
                tr(
                    "a # after a space starts a comment, so the text ends at {value!r}",
                    value=event.value[-20:],
                ),
                hint=tr(
                    "put the whole text in quotes, or write a space after # if it is a comment"
                ),
            )

    def _enter(self, event: Any, kind: type[Sequence | Mapping]) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_extras(event)
        node = kind(*_at(event))
        if self._is_key_next():
            self._refuse(
                event,
                tr("a list or mapping cannot be a key"),
                tr('a template needs quotes, as in text: "{{ prompt }}"'),
            )
            self._put(Scalar(node.line, node.column, BROKEN))
            self._open[-1].broken = True  # type: ignore[union-attr]  # only mappings have keys
        else:
            self._put(node)
        self._open.append(node)
        self._key.append(None)
        if len(self._open) > MAX_DEPTH:
            self._stop(
                event, tr("values are nested more than {max_depth} deep", max_depth=MAX_DEPTH)
            )

    def _is_key_next(self) -> bool:
        return bool(self._open) and self._key[-1] is None and type(self._open[-1]) is Mapping

    def _put(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._key[-1]
        if key is None:
            self._key[-1] = node if isinstance(node, Scalar) else None
            return
        self._key[-1] = None
        if key.value is BROKEN:
            return
        if key.value in parent.items:
            self._diagnostics.add(
                key.location(self._label),
                tr(
                    "the key {value} is repeated; it is also in line {line}",
                    value=excerpt(key.value),
                    line=parent.keys[key.value].line,
                ),
                hint=tr("keep one of them"),
            )
            return
        parent.items[key.value] = node
        parent.keys[key.value] = key

    def _refuse_extras(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse(
                event,
                tr("&{anchor} is an anchor, which manifests cannot use", anchor=event.anchor),
                _REPEAT,
            )
        if event.tag is not None:
            self._refuse(
                event, tr("the tag {tag} is not supported", tag=excerpt(event.tag)), tr("remove it")
            )

    def _refuse(self, event: Any, message: str, hint: str | None) -> None:
        self._diagnostics.add(Location(self._label, *_at(event)), message, hint=hint)

    def _stop(self, event: Any, message: str) -> None:
        self._refuse(event, message, None)
        raise _TooMuchError


_REPEAT = mark_tr("write the values out, or use matrix, defaults or items_from")
_CUT_SHORT = re.compile(r"[ \t]+(#[^\s#])")


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
