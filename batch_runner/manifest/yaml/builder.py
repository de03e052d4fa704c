"""Build the tree of values from the parser's events, with every refused feature at its location."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.yaml.look_alikes import (
    Doubt,
    Steps,
    doubts,
    is_misread_key,
    list_doubt,
    look_alike,
    misread,
)
from batch_runner.manifest.yaml.mistake import BROKEN_TAG, in_quotes, line_of
from batch_runner.manifest.yaml.nodes import BROKEN, Mapping, Node, Scalar, Sequence
from batch_runner.manifest.yaml.scalars import AmbiguousScalar, resolve_scalar
from batch_runner.manifest.yaml.syntax_errors import MAX_DEPTH
from batch_runner.util.locale import mark_tr, tr

MAX_NODES = 2_000_000


class MisreadError(Exception):
    """Lines `first` to `last` have full-width signs and were read as something else."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(first, last)
        self.first = first
        self.last = last


class _TooMuchError(Exception):
    """A limit was exceeded; the rest of the document is not read."""


class Builder:
    """Builds the tree from the parser's events; a new one is used for each text."""

    def __init__(self, text: str, label: str, diagnostics: Diagnostics) -> None:
        self._text = text
        self._has_comments = "#" in text
        self._label = label
        self._diagnostics = diagnostics
        self._root: Node | None = None
        self._open: list[Sequence | Mapping] = []
        self._key: list[Scalar | None] = []  # key whose value comes next, one per open node
        # Unquoted texts of each open node that is a list in brackets and has full-width signs.
        self._texts: list[list[tuple[Location, str]] | None] = []
        self._key_end = -1  # where the last key ends in the text
        self._documents = 0
        self.last_quoted: tuple[int, int, int] | None = None  # first line, column, last line

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
            self._leave()
        elif kind is yaml.AliasEvent:
            message = tr("*{anchor} is an alias, which manifests cannot use", anchor=event.anchor)
            self._refuse(event, message, self._as_text(event, _REPEAT))
            self._put(Scalar(*_at(event), BROKEN))
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                self._stop(event, tr("a second document starts here; a manifest is one document"))

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        node = Scalar(mark.line + 1, mark.column + 1, event.value)
        if event.style in ("'", '"'):
            self.last_quoted = (mark.line + 1, mark.column + 1, event.end_mark.line + 1)
        if event.tag == BROKEN_TAG and self._diagnostics:  # written by a repair
            node.value = BROKEN
        elif event.anchor is not None or event.tag is not None:
            self._refuse_extras(event)
            node.value = BROKEN if event.tag is not None else event.value
        elif self._is_key_next():
            self._key_end = event.end_mark.index
            if event.implicit[0] and not event.value.isascii() and is_misread_key(event.value):
                raise MisreadError(mark.line + 1, mark.line + 1)
            if event.implicit[0] and event.value == "<<":
                self._refuse(event, tr("<< is a merge key, which manifests cannot use"), _REPEAT)
        elif event.implicit[0]:
            node.value = self._resolve(event)
        self._put(node)

    def _resolve(self, event: Any) -> Any:
        """Return the value of an unquoted scalar."""
        if not event.value and event.start_mark.index == self._key_end:
            return self._cut_by_comma(event)
        if not event.value and isinstance(self._open[-1] if self._open else None, Sequence):
            return self._only_comment(event)
        if not event.value.isascii() and not self._is_text(event):
            return BROKEN
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
        end, brace = event.start_mark, self._open[-1]
        assert isinstance(brace, Mapping)  # noqa: S101  it has a key
        location = Location(self._label, end.line + 1, max(1, end.column + 1 - len(key.value)))
        before = line_of(self._text, location.line)[: location.column - 1]
        message = tr(
            "{key} is read as a key: inside {{ }} a comma ends the text before it",
            key=excerpt(key.value),
        )
        hint = tr("put the text with the comma in quotes")
        if brace.line == location.line and "," not in before[brace.column :]:
            location = brace.location(self._label)
            brace.broken = True
            message = tr("{sign} starts a mapping, so this is no text", sign="{")
            source = line_of(self._text, brace.line)
            hint = in_quotes(source[brace.column - 1 :] if source.lstrip().startswith("- ") else "")
        self._diagnostics.add(location, message, hint=hint)
        return BROKEN

    def _only_comment(self, event: Any) -> Any:
        """Refuse `- # text`: to YAML, an empty entry with a comment."""
        found = _COMMENT.match(self._text, event.end_mark.index)
        if found is None:
            return None
        column = event.end_mark.column + 1 + found.start(1) - event.end_mark.index
        location = Location(self._label, event.end_mark.line + 1, column)
        message = tr("# starts a comment, so this entry of the list is empty")
        self._diagnostics.add(location, message, hint=in_quotes(found[1]))
        return BROKEN

    def _is_text(self, event: Any) -> bool:
        """Return False if full-width signs that YAML reads as text are not meant so; report them.

        Raises:
            MisreadError: the text was certainly meant as something else.
        """
        steps, first, last = self._steps(), event.start_mark, event.end_mark
        lines = range(first.line + 1, last.line + 2)
        if misread(steps, event.value) and any(
            look_alike(line, line_of(self._text, line)) for line in lines
        ):
            raise MisreadError(lines[0], lines[-1])
        location = Location(self._label, *_at(event))
        written = self._text[first.index : last.index] if len(lines) > 1 else ""
        if (doubt := doubts(steps, event.value, written)) is not None:
            self._report(doubt, location)
            return doubt.verdict == "warning"
        if self._texts and (texts := self._texts[-1]) is not None:
            texts.append((location, event.value))
        return True

    def _report(self, doubt: Doubt, location: Location) -> None:
        at = self._diagnostics.locate(location, doubt.sign)
        if doubt.verdict == "error":
            self._diagnostics.add(at, doubt.message, hint=doubt.hint)
        else:
            self._diagnostics.warn(at, doubt.message, hint=doubt.hint)

    def _steps(self) -> Steps:
        """Return the keys from the top to the value that comes next."""
        steps = []
        for node, key in zip(self._open, self._key, strict=True):
            if isinstance(node, Sequence):
                steps.append("[]")
            else:
                steps.append(str(key.value) if key else next(reversed(node.keys), ""))
        return tuple(steps)

    def _leave(self) -> None:
        node = self._open.pop()
        self._key.pop()
        texts = self._texts.pop()
        if texts and isinstance(node, Sequence):
            steps = self._steps()
            doubt = list_doubt(steps, [text for _, text in texts], len(node.items))
            if doubt is not None:
                self._report(doubt, texts[0][0])

    def _check_comment(self, event: Any) -> None:
        """Refuse text that a comment seems to cut short: "Horse #1 in the snow"."""
        end = event.end_mark.index
        rest = _CUT_SHORT.match(self._text, end)
        if rest:
            column = event.end_mark.column + 1 + rest.start(1) - end
            self._diagnostics.add(
                Location(self._label, event.end_mark.line + 1, column),
                tr(
                    "a # after a space starts a comment, so the text ends after {text}",
                    text=event.value[-20:],
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
            self._refuse_question_mark(event, node)
        self._open.append(node)
        self._key.append(None)
        self._texts.append([] if kind is Sequence and event.flow_style else None)
        if len(self._open) > MAX_DEPTH:
            self._stop(
                event, tr("values are nested more than {max_depth} deep", max_depth=MAX_DEPTH)
            )

    def _refuse_question_mark(self, event: Any, node: Sequence | Mapping) -> None:
        """Refuse `- ? x`, the long form of a mapping in YAML."""
        at = event.start_mark.index
        if isinstance(node, Mapping) and not event.flow_style and self._text[at : at + 1] == "?":
            message = tr("text cannot start with {sign}", sign="?")
            self._refuse(event, message, self._as_text(event, _REPEAT))
            node.broken = True

    def _as_text(self, event: Any, otherwise: str) -> str:
        """Return the hint that shows the rest of the line in quotes, if it may be a prompt."""
        source, column = line_of(self._text, event.start_mark.line + 1), event.start_mark.column
        if self._steps()[:1] != ("prompts",) or "[" in source[:column] or "{" in source[:column]:
            return otherwise
        return in_quotes(source[column:])

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
                self._as_text(event, _REPEAT),
            )
        if event.tag is not None:
            message = tr("the tag {tag} is not supported", tag=excerpt(event.tag))
            self._refuse(event, message, self._as_text(event, tr("remove it")))

    def _refuse(self, event: Any, message: str, hint: str | None) -> None:
        self._diagnostics.add(Location(self._label, *_at(event)), message, hint=hint)

    def _stop(self, event: Any, message: str) -> None:
        self._refuse(event, message, None)
        raise _TooMuchError


_REPEAT = mark_tr("write the values out, or use matrix, defaults or prompts_from")
_COMMENT = re.compile(r"[ \t]*(#[^\n]*)")
_CUT_SHORT = re.compile(r"[ \t]+(#[^\s#])")


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
