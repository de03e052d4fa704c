"""The template language: Jinja2 without what could run long, grow large or read Python objects.

`check_syntax` allows only values, filters, conditions, loops, and calls of our own functions. It
refuses methods, macros and assignments, with which a text could double itself repeatedly. Jinja2's
own sandbox is the second barrier; attributes are read from mappings only. Iterations of loops,
lengths of texts and sizes of powers are limited by counting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from batch_runner.manifest.diagnostics import did_you_mean
from batch_runner.util.fullwidth import ascii_hint, first_sign
from batch_runner.util.locale import tr

#: Longest rendered text and longest template, in characters.
MAX_TEXT = 64_000
#: Iterations of all loops of one template together, and the longest range.
MAX_ITERATIONS = 10_000
#: Deepest nesting of an expression.
MAX_NESTING = 60

FUNCTIONS = ("seed", "pick", "range")

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Filter,
    nodes.Test,
    nodes.Call,
    nodes.Keyword,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.BinExpr,
    nodes.UnaryExpr,
    nodes.Concat,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.If,
    nodes.For,
)

# Not the filters that are random, pad or format to any length, or read attributes.
_KEPT_FILTERS = (
    *("upper", "lower", "title", "capitalize", "trim", "string", "wordcount"),
    *("default", "d", "int", "float", "abs", "max", "min", "length", "count"),
    *("list", "first", "last", "sort", "unique", "reverse"),
)


class StandIn(str):
    """Value of an unknown variable that was already reported; it has every attribute."""

    __slots__ = ()


class TemplateRefusedError(ValueError):
    """The template is not allowed; `needle` is the part of its text that the message is about.

    With `at_end` it is about the last sign of `needle`.
    """

    def __init__(
        self, message: str, *, needle: str = "{{", hint: str | None = None, at_end: bool = False
    ) -> None:
        super().__init__(message)
        self.needle = needle
        self.hint = hint
        self.at_end = at_end


class MissingValueError(UndefinedError):
    """A variable, or an attribute or element of `owner`, has no value."""

    def __init__(self, name: str | None, owner: Any, message: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner

    @property
    def is_variable(self) -> bool:
        return self.owner is missing


class _Missing(StrictUndefined):
    """A missing value; the filter `default` and the test `is defined` may use it."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None
    ) -> None:
        super().__init__(hint, obj, name)
        # Jinja2 calls this with its message.
        self._undefined_exception = partial(MissingValueError, name, obj)  # type: ignore[assignment]


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 with limits on time, memory and attribute access."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, slug: Callable[[object], str]) -> None:
        """`slug` is the filter of that name."""
        super().__init__(
            undefined=_Missing,
            finalize=printable,
            keep_trailing_newline=True,
            optimized=False,  # constant expressions would be computed while compiling
        )
        self.iterations_left = MAX_ITERATIONS
        self.filters = {name: self.filters[name] for name in _KEPT_FILTERS}
        self.filters.update(slug=slug, join=_join, replace=_replace, round=_round)
        self.filters.update(int=_ascii_only(self.filters["int"]))
        self.filters.update(float=_ascii_only(self.filters["float"]))
        self.globals = {"range": _range, "_each": self._each}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an element of a mapping, or an undefined value; attributes are never read."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, StandIn):
            return obj
        if isinstance(obj, LoopContext) and not attribute.startswith("_"):
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an element, or an undefined value."""
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=str(argument))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute *, ** and % of numbers, and text * number up to the longest text."""
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            sizes = [
                len(side) if isinstance(side, str | list | tuple) else side
                for side in (left, right)
            ]
            if operator != "*" or not all(isinstance(size, int) for size in sizes):
                raise TemplateRuntimeError(
                    tr("{operator} works with numbers only", operator=operator)
                )
            if sizes[0] * sizes[1] > MAX_TEXT:
                raise TemplateRuntimeError(
                    tr("the repeated text has more than {max_text} characters", max_text=MAX_TEXT)
                )
        elif operator == "**" and (abs(left) > 1_000_000 or abs(right) > 64):
            raise TemplateRuntimeError(tr("the power is too large"))
        return super().call_binop(context, operator, left, right)

    def _each(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self.iterations_left -= 1
            if self.iterations_left < 0:
                raise TemplateRuntimeError(
                    tr(
                        "the loops have more than {max_iterations} iterations",
                        max_iterations=MAX_ITERATIONS,
                    )
                )
            yield value


def check_syntax(tree: nodes.Template, sandbox: Sandbox) -> None:
    """Check that a template contains only allowed syntax.

    Raises:
        TemplateRefusedError: it contains other syntax.
    """
    level: list[nodes.Node] = [tree]
    for _ in range(MAX_NESTING):
        if not level:
            return
        for node in level:
            _check_node(node, sandbox)
        level = [child for node in level for child in node.iter_child_nodes()]
    raise TemplateRefusedError(
        tr("the expression is nested more than {max_nesting} deep", max_nesting=MAX_NESTING)
    )


def _check_node(node: nodes.Node, sandbox: Sandbox) -> None:
    if not isinstance(node, _ALLOWED):
        word = type(node).__name__.lower()
        raise TemplateRefusedError(
            tr("{get} is not allowed in templates", get=_STATEMENTS.get(word, word)),
            needle="{%",
            hint=tr("templates may use values, filters, if and for"),
        )
    if isinstance(node, nodes.Call):
        _check_call(node)
    if isinstance(node, nodes.Filter) and node.name not in sandbox.filters:
        hint = did_you_mean(node.name, sandbox.filters, otherwise=_listed(sandbox.filters))
        raise TemplateRefusedError(
            tr("there is no filter {name}", name=node.name), needle=node.name, hint=hint
        )
    if isinstance(node, nodes.Test) and node.name not in sandbox.tests:
        raise TemplateRefusedError(tr("there is no test {name}", name=node.name), needle=node.name)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateRefusedError(tr("a loop cannot be recursive"), needle="{%")


_STATEMENTS = {"assign": "set", "assignblock": "set", "callblock": "call", "filterblock": "filter"}


def _check_call(node: nodes.Call) -> None:
    called = node.node
    if isinstance(called, nodes.Getattr):
        raise TemplateRefusedError(
            tr(
                "{attr}() is a method; templates may call only {functions}",
                attr=called.attr,
                functions=_join_words(FUNCTIONS),
            ),
            needle=called.attr,
            hint=tr("use a filter: {{{{ value | {attr} }}}}", attr=called.attr)
            if called.attr in _KEPT_FILTERS
            else None,
        )
    if not isinstance(called, nodes.Name) or called.name not in FUNCTIONS:
        name = called.name if isinstance(called, nodes.Name) else "this"
        raise TemplateRefusedError(
            tr("there is no function {name}", name=name),
            needle=name,
            hint=did_you_mean(
                name,
                FUNCTIONS,
                otherwise=tr("available functions: {functions}", functions=_join_words(FUNCTIONS)),
            ),
        )


_PRINTABLE = (str, int, float, Undefined)


def printable(value: Any) -> Any:
    """Return a value that may be inserted into a text.

    Raises:
        TemplateRuntimeError: it is null, a mapping, a list or a function.
    """
    if isinstance(value, _PRINTABLE):
        return value
    if value is None:
        raise TemplateRuntimeError(tr("the value is empty (null)"))
    if isinstance(value, dict):
        raise TemplateRuntimeError(
            tr("the value is a mapping with {functions}", functions=_join_words(map(str, value)))
        )
    if isinstance(value, list | tuple):
        raise TemplateRuntimeError(tr("the value is a list; use pick() or the filter join"))
    raise TemplateRuntimeError(tr("the value is a function; add parentheses, as in seed()"))


def _join_words(words: Iterable[str]) -> str:
    listed = list(words)
    return ", ".join(listed[:-1]) + tr(" and ") + listed[-1] if len(listed) > 1 else "".join(listed)


def _listed(words: Iterable[str]) -> str:
    return tr("available filters: {names}", names=", ".join(sorted(words)))


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    if len(numbers) > MAX_ITERATIONS:
        raise TemplateRuntimeError(
            tr("range() has more than {max_iterations} numbers", max_iterations=MAX_ITERATIONS)
        )
    return numbers


def _join(values: Any, between: str = "") -> str:
    words = [str(printable(value)) for value in values]
    if sum(map(len, words)) + len(words) * len(str(between)) > MAX_TEXT:
        raise TemplateRuntimeError(
            tr("the text has more than {max_text} characters", max_text=MAX_TEXT)
        )
    return str(between).join(words)


def _replace(text: Any, old: Any, new: Any) -> str:
    before, old, new = str(text), str(old), str(new)
    if len(before) + before.count(old) * len(new) > MAX_TEXT:
        raise TemplateRuntimeError(
            tr("the text has more than {max_text} characters", max_text=MAX_TEXT)
        )
    return before.replace(old, new)


def _ascii_only(convert: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that converts text to a number, but not text with full-width signs."""

    def converted(value: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(value, str) and first_sign(value):
            message = tr("{value} is not a number: it has full-width signs", value=value[:40])
            raise TemplateRuntimeError(f"{message}; {ascii_hint(value)}")
        return convert(value, *arguments, **named)

    return converted


def _round(number: Any, digits: int = 0) -> float | int:
    return round(float(number), digits) if digits else round(float(number))


#: A text that contains one of these is a template.
MARKERS = re.compile(r"\{[{%#]")
#: A template in full-width braces, which would be sent as it is.
WIDE_TEMPLATE = re.compile(r"(?:｛｛|｛\{|\{｛)[^{}｛｝\n]{1,200}(?:｝｝|｝\}|\}｝|\}\})")
