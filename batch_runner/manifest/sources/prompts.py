"""Entries of a job (a prompt of the manifest, or a row of a file), and the list `prompts`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from batch_runner.manifest.diagnostics import Diagnostics, Location, closest, excerpt
from batch_runner.manifest.schema import Prompt
from batch_runner.manifest.schema_types import is_blank, kind
from batch_runner.manifest.templates.request import (
    LocatedTemplate,
    LocatingCompiler,
    RequestTemplate,
    merge_params,
)
from batch_runner.manifest.templates.sandbox import MARKERS, MAX_TEXT
from batch_runner.manifest.validate import check
from batch_runner.manifest.variables import check_value, check_variable
from batch_runner.manifest.yaml.mistake import in_quotes
from batch_runner.manifest.yaml.nodes import Mapping, Node, Sequence, is_broken, plain
from batch_runner.util.locale import mark_tr, tr

_OWN_KEYS = frozenset(Prompt.model_fields)


class Entry(NamedTuple):
    """One prompt or row: its location, its variables, and settings that replace the job's."""

    location: Location
    variables: dict[str, Any]
    id: str | None = None
    prompt: LocatedTemplate | None = None  # None: no template, but plain text
    request: RequestTemplate | None = None


class Prompts:
    """The list `prompts`. It may be long: entries are not kept, but checked again in each pass."""

    def __init__(
        self, node: Node, request: RequestTemplate, compiler: LocatingCompiler, label: str
    ) -> None:
        self._node = node
        self._request = request
        self._compiler = compiler
        self._label = label

    def entries(self, diagnostics: Diagnostics) -> Iterator[Entry]:
        """Yield the valid entries; report the invalid ones."""
        location = self._node.location(self._label)
        if not isinstance(self._node, Sequence):
            seen = kind(plain(self._node))
            if not is_broken(self._node) and seen != "nothing":
                diagnostics.add(
                    location,
                    tr("prompts: wanted a list, this is {seen}", seen=tr(seen)),
                    hint=_LIST,
                )
            return
        if not self._node.items:
            diagnostics.add(location, tr("prompts: wanted at least one prompt"), hint=_LIST)
        for number, node in enumerate(self._node.items, start=1):
            if entry := self._entry(node, f"prompts[{number}]", diagnostics):
                yield entry

    def _entry(self, node: Node, item: str, diagnostics: Diagnostics) -> Entry | None:
        location = node.location(self._label)
        if is_broken(node):
            return None
        if isinstance(node, Mapping):
            return self._mapping(node, item, diagnostics)
        value = plain(node)
        if not isinstance(value, str):
            hint = in_quotes(diagnostics.rest_of_line(location))
            if isinstance(value, int | float):
                hint = tr('write "{value}" in quotes if it is the prompt', value=excerpt(value))
            message = tr(
                "wanted text or a mapping with a prompt, this is {kind}", kind=tr(kind(value))
            )
            diagnostics.add(location, message, item=item, hint=hint)
            return None
        return self._text(value, location, item, diagnostics)

    def _text(
        self, text: str, location: Location, item: str, diagnostics: Diagnostics
    ) -> Entry | None:
        if is_blank(text):
            diagnostics.add(location, tr("the prompt is empty"), item=item)
            return None
        if len(text) > MAX_TEXT:
            check_value(text, location, diagnostics, item)
            return None
        if not MARKERS.search(text):
            self._compiler.check_braces(text, location, item=item)
            return Entry(location, {"prompt": text})
        prompt = self._compiler.compile(text, location, item=item)
        return Entry(location, {"prompt": text}, prompt=prompt)

    def _mapping(self, node: Mapping, item: str, diagnostics: Diagnostics) -> Entry | None:
        location = node.location(self._label)
        if "prompt" not in node.items and _looks_like_text(node):
            key, value = next(iter(node.items.items()))
            if is_broken(value):
                return None
            message = tr("the colon after {key} turns this prompt into a mapping", key=excerpt(key))
            hint = in_quotes(diagnostics.rest_of_line(location))
            diagnostics.add(location, message, item=item, hint=hint)
            return None
        own, wrong = check(
            Prompt, node, self._label, diagnostics, placeholders={"prompt": "?"}, item=item
        )
        variables = {key: plain(value) for key, value in node.items.items() if key != "id"}
        for key in variables.keys() - _OWN_KEYS:
            if not is_broken(node.items[key]):
                at = node.items[key].location(self._label)
                check_variable(key, variables[key], at, diagnostics)
        if wrong:
            return None
        text = node.items["prompt"]
        entry = self._text(own.prompt, text.location(self._label), item, diagnostics)
        if entry is None:
            return None
        request = self._own_request(own, node)
        self._check_misspelt(node, item, diagnostics)
        for key in ("workflow", "params", "attempts", "repeat"):
            variables.pop(key, None)
        return Entry(location, variables, own.id, entry.prompt, request)

    def _check_misspelt(self, node: Mapping, item: str, diagnostics: Diagnostics) -> None:
        """Report a variable that no template uses and that looks like a misspelt key."""
        for name in node.items.keys() - _OWN_KEYS - self._compiler.used:
            if meant := closest(name, _OWN_KEYS - node.items.keys(), cutoff=0.82):
                location = node.keys[name].location(self._label)
                message = tr("no template uses the variable {name}", name=excerpt(name))
                diagnostics.add(
                    location, message, item=item, hint=tr("did you mean {meant}?", meant=meant)
                )

    def _own_request(self, own: Prompt, node: Mapping) -> RequestTemplate | None:
        """Return the job's request with the entry's own settings, None if it has none."""
        if not node.items.keys() & {"workflow", "params", "name", "attempts", "repeat"}:
            return None
        base = self._request
        workflow = name = None
        if own.workflow is not None:
            location = node.items["workflow"].location(self._label)
            workflow = self._compiler.compile(own.workflow, location)
        if own.name is not None:
            location = node.items["name"].location(self._label)
            name = self._compiler.compile(own.name, location, name=True)
        written, params = base.written, base.params
        uses = base.uses - base.workflow.template.uses
        above = node.items.get("params")
        if isinstance(above, Mapping):
            # Another workflow has other nodes: the job's params would be sent to the wrong ones.
            written = above if workflow else merge_params(base.written, above)
            params, uses = self._compiler.compile_tree(written)
        workflow = workflow or base.workflow
        return RequestTemplate(
            workflow=workflow,
            written=written,
            params=params,
            uses=uses | workflow.template.uses,
            name=name or base.name,
            attempts=own.attempts or base.attempts,
            repeat=own.repeat or base.repeat,
        )


_LIST = mark_tr("write one prompt a line, each after a dash: - A horse in falling snow")


def _looks_like_text(node: Mapping) -> bool:
    """Return whether a mapping is a text with a colon in it: one unknown key."""
    return len(node.items) == 1 and not node.items.keys() & _OWN_KEYS
