"""Compile a text with `{{ … }}` in it once, and render it for every item.

If the text is a single expression, the value keeps its type: `"{{ seed() }}"` sends a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Undefined
from jinja2.visitor import NodeTransformer

from batch_runner.manifest.diagnostics import did_you_mean
from batch_runner.manifest.filenames import FOLDER_MARK, sent_slug, slug
from batch_runner.manifest.templates.messages import syntax_error_text, value_error_text
from batch_runner.manifest.templates.sandbox import (
    MARKERS,
    MAX_ITERATIONS,
    MAX_TEXT,
    MissingValueError,
    Sandbox,
    TemplateRefusedError,
    check_syntax,
    printable,
)
from batch_runner.util.fullwidth import ascii_hint
from batch_runner.util.locale import tr

#: What a template can use: the item's variables, `id`, `n`, `job`, and under `IDS` the ids of its
#: matrix values.
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
    """A compiled text: `render` returns its value, `uses` are the names in it."""

    render: Render
    uses: frozenset[str] = frozenset()
    source: str = ""


class Compiler:
    """Compiles the templates of one manifest."""

    def __init__(self, matrix: frozenset[str] = frozenset()) -> None:
        self._sandboxes = {False: Sandbox(sent_slug), True: Sandbox(slug)}  # by `name`
        self._matrix = matrix
        self._cached = lru_cache(maxsize=1000)(self._compile)

    def compile(self, source: str, *, text: bool = False, name: bool = False) -> Template:
        """Return the compiled template; with `text` its value is always text.

        With `name` it is that of a file's name, which is not sent; its slashes outside of `{{ … }}`
        are rendered as `FOLDER_MARK`.

        Raises:
            TemplateRefusedError: it is invalid, or uses what templates may not use.
        """
        return self._cached(source, text=text, name=name)

    def _compile(self, source: str, *, text: bool, name: bool) -> Template:
        sandbox = self._sandboxes[name]
        if not MARKERS.search(source):
            plain = source.replace("/", FOLDER_MARK) if name else source
            return Template(lambda _: plain, source=source)
        if len(source) > MAX_TEXT:
            raise TemplateRefusedError(
                tr(
                    "the template has {source} characters, at most {max_text} are allowed",
                    source=len(source),
                    max_text=MAX_TEXT,
                )
            )
        try:
            tree = sandbox.parse(source)
            check_syntax(tree, sandbox)
            uses = frozenset(find_undeclared_variables(tree))
            _Bounded(self._matrix).visit(tree)
            if name:
                for written in tree.find_all(nodes.TemplateData):
                    written.data = written.data.replace("/", FOLDER_MARK)
            render = _renderer(sandbox, tree, uses, text=text)
        except TemplateSyntaxError as error:
            raise _syntax_error(error.message or "", source) from None
        except TemplateRefusedError:
            raise
        except (RecursionError, SyntaxError, MemoryError):
            raise TemplateRefusedError(tr("the template is nested too deep")) from None
        except (TemplateError, ValueError) as error:
            raise TemplateRefusedError(tr("invalid template: {error}", error=error)) from None
        return Template(render, uses, source)


def _renderer(
    sandbox: Sandbox, tree: nodes.Template, uses: frozenset[str], *, text: bool
) -> Render:
    expression = None if text else _only_expression(tree)
    if expression is not None:
        body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)]
        tree = nodes.Template(body, lineno=1)
    tree.set_environment(sandbox)
    compiled = sandbox.from_string(tree)

    def render(scope: Scope) -> Any:
        sandbox.iterations_left = MAX_ITERATIONS
        context = compiled.new_context(scope)
        pieces: list[str] = []
        length = 0
        try:
            for piece in compiled.root_render_func(context):
                pieces.append(piece)
                length += len(piece)
                if length > MAX_TEXT:
                    raise RenderFailedError(
                        tr(
                            "the rendered text has more than {max_text} characters",
                            max_text=MAX_TEXT,
                        )
                    )
            if expression is None:
                return "".join(pieces)
            return _native(context.vars["result"])
        except RenderFailedError:
            raise
        except MissingValueError as error:
            raise _missing_value(error, scope, uses) from None
        except TemplateError as error:
            raise RenderFailedError(str(error)) from None
        except _RENDER_ERRORS as error:
            raise RenderFailedError(
                tr("the template cannot be computed: {error}", error=value_error_text(error))
            ) from None

    return render


#: What filters and operators raise for unsuitable values.
_RENDER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Bounded(NodeTransformer):
    """Rewrites loops to count their iterations, and `.id` of a matrix variable to read its id."""

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


def _native(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises MissingValueError
    if callable(value):
        printable(value)
    return list(value) if isinstance(value, range | tuple) else value


_STRANGE = re.compile(r"unexpected char '(.+)' at (\d+)", re.DOTALL | re.ASCII)


def _syntax_error(message: str, source: str) -> TemplateRefusedError:
    """Return jinja2's error; a character that no template may contain with its location."""
    found = _STRANGE.match(message)
    at = int(found[2]) if found else len(source)
    if at >= len(source):
        reason = syntax_error_text(message)
        return TemplateRefusedError(tr("invalid template: {message}", message=reason))
    sign = source[at]
    return TemplateRefusedError(
        tr("{sign} cannot be in a template outside of quotes", sign=sign),
        needle=source[max(0, source.rfind("{", 0, at)) : at + 1],
        hint=ascii_hint(sign),
        at_end=True,
    )


def _missing_value(
    error: MissingValueError, scope: Scope, uses: frozenset[str]
) -> RenderFailedError:
    """Return the error for a variable, attribute or element that has no value in `scope`."""
    missing, owner = error.name, error.owner
    if missing is None:  # of a filter such as `first`
        return RenderFailedError(tr("the template takes a value from an empty list"))
    if error.is_variable or owner is scope.get(IDS):
        names = [name for name in scope if not name.startswith("_")]
        message = tr("{{{{ {missing} }}}} has no value here", missing=missing)
        return RenderFailedError(message, hint=did_you_mean(missing, names), missing=missing)
    variable = next((name for name in sorted(uses) if scope.get(name) is owner), tr("the value"))
    if isinstance(owner, dict):
        has = tr("{variable} has {names}", variable=variable, names=", ".join(map(str, owner)))
        hint = did_you_mean(missing, map(str, owner), otherwise=has)
    else:
        hint = (
            tr("write {{{{ {variable} }}}} for its value", variable=variable)
            if variable in uses
            else None
        )
    return RenderFailedError(
        tr("{variable} has no {missing}", variable=variable, missing=missing), hint=hint
    )
