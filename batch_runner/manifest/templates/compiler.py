"""Texts with `{{ … }}` in them, compiled once and rendered for every item.

Most templates only put values into text. They never reach Jinja2 but become plain joins, which
compile a hundred times faster and render several times faster.

A text that is exactly one expression keeps the type of its value: `"{{ seed() }}"` sends a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Undefined
from jinja2.visitor import NodeTransformer

from batch_runner.manifest.diagnostics import did_you_mean
from batch_runner.manifest.schema_types import KEYWORDS
from batch_runner.manifest.templates.sandbox import (
    FUNCTIONS,
    MARKERS,
    MAX_TEXT,
    MAX_TURNS,
    Sandbox,
    StandIn,
    TemplateRefusedError,
    printable,
    refuse_beyond,
)

#: Everything a template can name: the item's variables, `id`, `n`, `job`, and under `IDS` the ids
#: of its matrix values.
Scope = dict[str, Any]
Render = Callable[[Scope], Any]

IDS = "_ids"


class RenderFailedError(ValueError):
    """A template has no value for this item."""

    def __init__(
        self, message: str, *, hint: str | None = None, missing: str | None = None
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text: `render` makes its value, `uses` are the names it needs."""

    render: Render
    uses: frozenset[str] = frozenset()
    source: str = ""


class Compiler:
    """Compiles the templates of one manifest."""

    def __init__(self, matrix: frozenset[str] = frozenset()) -> None:
        self._sandbox = Sandbox()
        self._matrix = matrix

    def compile(self, source: str, *, text: bool = False) -> Template:
        """Return the compiled template; with `text` its value is text whatever it is made of.

        Raises:
            TemplateRefusedError: it is not a template, or does more than one may.
        """
        if not MARKERS.search(source):
            return Template(lambda _: source, source=source)
        if len(source) > MAX_TEXT:
            raise TemplateRefusedError(f"a template has at most {MAX_TEXT} characters")
        if simple := _simple(source, self._matrix, text=text):
            return simple
        try:
            tree = self._sandbox.parse(source)
            refuse_beyond(tree, self._sandbox)
            uses = frozenset(find_undeclared_variables(tree))
            _Bounded(self._matrix).visit(tree)
            render = self._general(tree, text=text)
        except TemplateSyntaxError as error:
            raise TemplateRefusedError(f"this is not a template: {error.message}") from None
        except (TemplateError, RecursionError, SyntaxError, MemoryError, ValueError) as error:
            if isinstance(error, TemplateRefusedError):
                raise
            raise TemplateRefusedError(f"this is not a template: {error}") from None
        return Template(render, uses, source)

    def _general(self, tree: nodes.Template, *, text: bool) -> Render:
        expression = None if text else _only_expression(tree)
        if expression is not None:
            body: list[nodes.Node] = [
                nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)
            ]
            tree = nodes.Template(body, lineno=1)
        tree.set_environment(self._sandbox)
        compiled = self._sandbox.from_string(tree)

        def render(scope: Scope) -> Any:
            self._sandbox.turns_left = MAX_TURNS
            context = compiled.new_context(scope)
            pieces: list[str] = []
            length = 0
            try:
                for piece in compiled.root_render_func(context):
                    pieces.append(piece)
                    length += len(piece)
                    if length > MAX_TEXT:
                        raise RenderFailedError(f"the text is over {MAX_TEXT} characters")
                if expression is None:
                    return "".join(pieces)
                return _native(context.vars["result"])
            except RenderFailedError:
                raise
            except UndefinedError as error:
                raise _undefined(str(error.message), scope) from None
            except _WHILE_RENDERING as error:
                raise RenderFailedError(str(error)) from None

        return render


#: What filters and operators raise when they are given the wrong values.
_WHILE_RENDERING = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Bounded(NodeTransformer):
    """Counts the turns of loops, and gives plain matrix values their ids."""

    def __init__(self, matrix: frozenset[str]) -> None:
        self._matrix = matrix

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  jinja2's naming
        self.generic_visit(node)
        each = nodes.Name("_each", "load", lineno=node.lineno)
        node.iter = nodes.Call(each, [node.iter], [], None, None, lineno=node.lineno)
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802  jinja2's naming
        if (
            node.attr == "id"
            and isinstance(node.node, nodes.Name)
            and node.node.name in self._matrix
        ):
            ids = nodes.Name(IDS, "load", lineno=node.lineno)
            name = nodes.Const(node.node.name, lineno=node.lineno)
            return nodes.Getitem(ids, name, "load", lineno=node.lineno)
        self.generic_visit(node)
        return node


def _only_expression(tree: nodes.Template) -> nodes.Expr | None:
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    children = tree.body[0].nodes
    if len(children) != 1 or isinstance(children[0], nodes.TemplateData):
        return None
    return children[0]


def _simple(source: str, matrix: frozenset[str], *, text: bool) -> Template | None:
    """Return the fast way for a text with nothing but plain values in it, None for any other."""
    pieces = _VALUE.split(source)  # text, name, attribute or None, text, name, …
    if any(MARKERS.search(piece) for piece in pieces[::3]) or _NOT_NAMES & set(pieces[1::3]):
        return None
    frame: list[str] = []
    slots: list[tuple[int, Render]] = []  # which pieces of the frame are whose
    for between, name, attribute in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
        frame += [between, ""]
        slots.append((len(frame) - 1, _getter(name, attribute, matrix)))
    frame.append(pieces[-1])
    uses = frozenset(pieces[1::3])
    if not (text or any(frame)) and len(slots) == 1:
        return Template(slots[0][1], uses, source)

    def render(scope: Scope) -> str:
        filled = frame.copy()
        for at, get in slots:
            value = get(scope)
            filled[at] = value if type(value) is str else _print(value)
        made = "".join(filled)
        if len(made) > MAX_TEXT:
            raise RenderFailedError(f"the text is over {MAX_TEXT} characters")
        return made

    return Template(render, uses, source)


_VALUE = re.compile(r"\{\{\s*([^\W\d]\w*)(?:\.([^\W\d]\w*))?\s*\}\}")
_NOT_NAMES = KEYWORDS | set(FUNCTIONS)


def _getter(name: str, attribute: str | None, matrix: frozenset[str]) -> Render:
    get = _variable(name)
    if attribute is None:
        return get
    if attribute == "id" and name in matrix:
        return _attribute(_variable(IDS), IDS, name)
    return _attribute(get, name, attribute)


def _variable(name: str) -> Render:
    def get(scope: Scope) -> Any:
        try:
            return scope[name]
        except KeyError:
            raise _unknown(name, scope) from None

    return get


def _attribute(get: Render, name: str, attribute: str) -> Render:
    def get_attribute(scope: Scope) -> Any:
        value = get(scope)
        if isinstance(value, dict) and attribute in value:
            return value[attribute]
        if isinstance(value, StandIn):
            return value
        if name == IDS:  # the id of a matrix variable that this combination does not have
            raise _unknown(attribute, scope)
        known = value if isinstance(value, dict) else ()
        hint = did_you_mean(attribute, known, otherwise=_that_has(name, value))
        raise RenderFailedError(f"{name} has no {attribute}", hint=hint)

    return get_attribute


def _that_has(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"{name} has " + ", ".join(map(str, value))
    return f"write {{{{ {name} }}}} for its value"


def _print(value: Any) -> str:
    try:
        return str(printable(value))
    except TemplateError as error:
        raise RenderFailedError(str(error)) from None


def _native(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises in Jinja2's own words
    if callable(value):
        printable(value)
    return list(value) if isinstance(value, range | tuple) else value


def _unknown(name: str, scope: Scope) -> RenderFailedError:
    names = [known for known in scope if not known.startswith("_")]
    return RenderFailedError(
        f"{{{{ {name} }}}} has no value here", hint=did_you_mean(name, names), missing=name
    )


def _undefined(words: str, scope: Scope) -> RenderFailedError:
    """Return Jinja2's complaint about an undefined value as ours."""
    name = words.split("'")[1] if words.count("'") >= 2 else ""
    if words.endswith("is undefined") and name:
        return _unknown(name, scope)
    return RenderFailedError(words)
