"""Compile the templates of a manifest: the request of an item, and the names of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from batch_runner.manifest.diagnostics import Diagnostics, Location, did_you_mean, excerpt
from batch_runner.manifest.templates.compiler import Compiler, Template
from batch_runner.manifest.templates.sandbox import (
    FUNCTIONS,
    MARKERS,
    WIDE_TEMPLATE,
    TemplateRefusedError,
)
from batch_runner.manifest.variables import check_value
from batch_runner.manifest.yaml.nodes import Mapping, Node, Sequence, plain
from batch_runner.util.fullwidth import ascii_form
from batch_runner.util.locale import tr

_NAMES = re.compile(r"[^\W\d]\w*")
#: The first name in a template.
_NAME = re.compile(r"\{\{\s*([^\W\d]\w*)")


#: The date of the job's first run, a variable of the names of files only.
TODAY = "today"


def today_hint() -> str:
    return tr(
        "it is for output.name only: with the date in it, a request would be another one every "
        "day, and be paid for again. For a fixed date give a variable, such as date: under defaults"
    )


@dataclass(frozen=True, slots=True)
class LocatedTemplate:
    """A template and its location."""

    template: Template
    location: Location


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """Templates and settings of items: the job's, or those of a prompt that replaces some."""

    workflow: LocatedTemplate
    written: Node  # the params as written in the manifest
    params: Any  # the same tree as plain values and templates
    uses: frozenset[str]  # the names in workflow and params
    name: LocatedTemplate
    attempts: int
    repeat: int


class LocatingCompiler:
    """Compiles the templates of one file and reports the invalid ones at their location.

    `known` are the variables that some item has; None if any name may be one.
    """

    def __init__(
        self, compiler: Compiler, known: frozenset[str] | None, label: str, diagnostics: Diagnostics
    ) -> None:
        self._compiler = compiler
        self._known = known
        self._label = label
        self._diagnostics = diagnostics
        self.used: set[str] = set()  # names in any template so far
        self.unknown: set[str] = set()  # those that no item has; reported
        self.refused = False  # whether any template was

    def compile(
        self,
        source: str,
        location: Location,
        *,
        text: bool = True,
        name: bool = False,
        item: str | None = None,
    ) -> LocatedTemplate:
        """Return the template; an invalid one is reported, and its text is used as it is.

        `text` and `name` are those of `Compiler.compile`.
        """
        self.check_braces(source, location, item=item)
        try:
            template = self._compiler.compile(source, text=text, name=name)
            located = LocatedTemplate(template, location)
        except TemplateRefusedError as error:
            self.refused = True
            self.used.update(_NAMES.findall(source))  # not known, so nothing is called unused
            where = self._diagnostics.locate(location, error.needle)
            if error.at_end and where != location:
                where = where._replace(column=where.column + len(error.needle) - 1)
            self._diagnostics.add(where, str(error), hint=error.hint, item=item)
            return LocatedTemplate(Template(lambda _: source, source=source), location)
        self.used |= located.template.uses
        if self._known is not None:
            known = self._known | {TODAY} if name else self._known
            for variable in sorted(located.template.uses - known - set(FUNCTIONS)):
                self._refuse_unknown(variable, known, location, item)
        return located

    def check_braces(self, text: str, location: Location, *, item: str | None = None) -> None:
        """Report a template in full-width braces: it would be sent as it is."""
        found = None if text.isascii() else WIDE_TEMPLATE.search(text)
        name = _NAME.match(ascii_form(found[0])) if found else None
        if found is None or name is None:
            return
        if self._known is not None and name[1] not in {*self._known, *FUNCTIONS}:
            return  # so it is a text
        self.used.add(name[1])
        typed = ascii_form(found[0])
        self._diagnostics.add(
            self._diagnostics.locate(location, found[0][:2]),
            tr("{text} is no template, but sent as it is", text=excerpt(found[0])),
            hint=tr("type {typed} (half-width, in ASCII)", typed=excerpt(typed)),
            item=item,
        )

    def _refuse_unknown(
        self, name: str, known: frozenset[str], location: Location, item: str | None
    ) -> None:
        self.unknown.add(name)
        if self._diagnostics.full:
            self._diagnostics.add(
                location, tr("there is no variable {name}", name=excerpt(name)), item=item
            )
            return
        otherwise = tr("variables here: {names}", names=", ".join(sorted(known)))
        hint = today_hint() if name == TODAY else did_you_mean(name, known, otherwise=otherwise)
        self._diagnostics.add(
            self._diagnostics.locate(location, name),
            tr("there is no variable {name}", name=excerpt(name)),
            item=item,
            hint=hint,
        )

    def compile_tree(self, node: Node) -> tuple[Any, frozenset[str]]:
        """Return a tree of values with its templates compiled, and the names in them."""
        uses: set[str] = set()
        return self._tree(node, uses), frozenset(uses)

    def _tree(self, node: Node, uses: set[str]) -> Any:
        if isinstance(node, Mapping):
            return {key: self._tree(value, uses) for key, value in node.items.items()}
        if isinstance(node, Sequence):
            return [self._tree(value, uses) for value in node.items]
        value = plain(node)
        if not (isinstance(value, str) and MARKERS.search(value)):
            if isinstance(value, str):
                self.check_braces(value, node.location(self._label))
            check_value(value, node.location(self._label), self._diagnostics)
            return value
        template = self.compile(value, node.location(self._label), text=False).template
        uses |= template.uses
        return template


def merge_params(base: Node, above: Mapping) -> Mapping:
    """Return the params `base`, with the fields of `above` added or replaced."""
    merged = Mapping(above.line, above.column)
    if isinstance(base, Mapping):
        merged.items.update(base.items)
        merged.keys.update(base.keys)
    merged.keys.update(above.keys)
    for name, fields in above.items.items():
        below = merged.items.get(name)
        if isinstance(fields, Mapping) and isinstance(below, Mapping):
            both = Mapping(fields.line, fields.column)
            both.items.update({**below.items, **fields.items})
            both.keys.update({**below.keys, **fields.keys})
            merged.items[name] = both
        else:
            merged.items[name] = fields
    return merged
