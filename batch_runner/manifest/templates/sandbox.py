"""The template language: Jinja2 with everything taken out that could hang, grow or look outside.

Two walls. The first is a list of what may stand in a template (`refuse_beyond`): values, filters,
conditions, loops, and calls of our own functions; no methods, no macros, no assignments, so that
nothing can double itself again and again. The second is Jinja2's own sandbox, here with attribute
access that only ever looks into mappings. What is left is bounded by counting: turns of loops,
lengths of texts, sizes of powers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from batch_runner.manifest.diagnostics import did_you_mean
from batch_runner.manifest.filenames import slug

#: Longest text that a template may make, in characters, and longest template.
MAX_TEXT = 64_000
#: Turns of all loops of one template together, and the longest range.
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

# Left out: what draws lots, what pads or formats to any length, what reads attributes.
_KEPT_FILTERS = (
    *("upper", "lower", "title", "capitalize", "trim", "string", "wordcount"),
    *("default", "d", "int", "float", "abs", "max", "min", "length", "count"),
    *("list", "first", "last", "sort", "unique", "reverse"),
)


class StandIn(str):
    """The value of a variable that does not exist, which was reported; it has every attribute."""

    __slots__ = ()


class TemplateRefusedError(ValueError):
    """This may not stand in a template; `needle` is the part of the text that it is about."""

    def __init__(self, message: str, *, needle: str = "{{", hint: str | None = None) -> None:
        super().__init__(message)
        self.needle = needle
        self.hint = hint


class MissingValueError(UndefinedError):
    """A variable, or an attribute or element of `owner`, has no value."""

    def __init__(self, name: str, owner: Any, message: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner

    @property
    def is_variable(self) -> bool:
        return self.owner is missing


class _Missing(StrictUndefined):
    """What a missing value is until a template uses it; `default` and `is defined` may ask."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None
    ) -> None:
        super().__init__(hint, obj, name)
        # Jinja2 calls this with its message.
        self._undefined_exception = partial(MissingValueError, name, obj)  # type: ignore[assignment,arg-type]


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2, bounded."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=_Missing,
            finalize=printable,
            keep_trailing_newline=True,
            optimized=False,  # constant expressions would be computed while compiling
        )
        self.iterations_left = MAX_ITERATIONS
        self.filters = {name: self.filters[name] for name in _KEPT_FILTERS}
        self.filters.update(slug=slug, join=_join, replace=_replace, round=_round)
        self.globals = {"range": _range, "_each": self._each}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look into mappings only: no Python object shows its attributes."""
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
        """Compute *, ** and % of numbers; a text repeats within the cap."""
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            sizes = [
                len(side) if isinstance(side, str | list | tuple) else side
                for side in (left, right)
            ]
            if operator != "*" or not all(isinstance(size, int) for size in sizes):
                raise TemplateRuntimeError(f"{operator} is for numbers")
            if sizes[0] * sizes[1] > MAX_TEXT:
                raise TemplateRuntimeError(f"the text is repeated to over {MAX_TEXT} characters")
        elif operator == "**" and (abs(left) > 1_000_000 or abs(right) > 64):
            raise TemplateRuntimeError("the power is too large")
        return super().call_binop(context, operator, left, right)

    def _each(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self.iterations_left -= 1
            if self.iterations_left < 0:
                raise TemplateRuntimeError(f"the loops take over {MAX_ITERATIONS} turns")
            yield value


def refuse_beyond(tree: nodes.Template, sandbox: Sandbox) -> None:
    """Check that a template holds nothing but what is allowed.

    Raises:
        TemplateRefusedError: it does.
    """
    level: list[nodes.Node] = [tree]
    for _ in range(MAX_NESTING):
        if not level:
            return
        for node in level:
            _refuse(node, sandbox)
        level = [child for node in level for child in node.iter_child_nodes()]
    raise TemplateRefusedError(f"the expression is nested more than {MAX_NESTING} deep")


def _refuse(node: nodes.Node, sandbox: Sandbox) -> None:
    if not isinstance(node, _ALLOWED):
        word = type(node).__name__.lower()
        raise TemplateRefusedError(
            f"{_STATEMENTS.get(word, word)} cannot be used here",
            needle="{%",
            hint="a template has values, filters, if and for",
        )
    if isinstance(node, nodes.Call):
        _refuse_call(node)
    if isinstance(node, nodes.Filter) and node.name not in sandbox.filters:
        hint = did_you_mean(node.name, sandbox.filters, otherwise=_listed(sandbox.filters))
        raise TemplateRefusedError(f"there is no filter {node.name}", needle=node.name, hint=hint)
    if isinstance(node, nodes.Test) and node.name not in sandbox.tests:
        raise TemplateRefusedError(f"there is no test {node.name}", needle=node.name)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateRefusedError("a loop cannot be recursive", needle="{%")


_STATEMENTS = {"assign": "set", "assignblock": "set", "callblock": "call", "filterblock": "filter"}


def _refuse_call(node: nodes.Call) -> None:
    called = node.node
    if isinstance(called, nodes.Getattr):
        raise TemplateRefusedError(
            f"{called.attr}() is a method, and templates call only {_and(FUNCTIONS)}",
            needle=called.attr,
            hint=f"use a filter: {{{{ value | {called.attr} }}}}"
            if called.attr in _KEPT_FILTERS
            else None,
        )
    if not isinstance(called, nodes.Name) or called.name not in FUNCTIONS:
        name = called.name if isinstance(called, nodes.Name) else "this"
        raise TemplateRefusedError(
            f"there is no function {name}",
            needle=name,
            hint=did_you_mean(name, FUNCTIONS, otherwise=f"the functions are {_and(FUNCTIONS)}"),
        )


_PRINTABLE = (str, int, float, Undefined)


def printable(value: Any) -> Any:
    """Return a value as it may stand in a text.

    Raises:
        TemplateRuntimeError: it would be printed as something nobody wants in a prompt.
    """
    if isinstance(value, _PRINTABLE):
        return value
    if value is None:
        raise TemplateRuntimeError("the value is empty (null)")
    if isinstance(value, dict):
        raise TemplateRuntimeError(f"the value is a mapping with {_and(map(str, value))}")
    if isinstance(value, list | tuple):
        raise TemplateRuntimeError("the value is a list: use pick() or the filter join")
    raise TemplateRuntimeError("the value is a function: write its brackets, as in seed()")


def _and(words: Iterable[str]) -> str:
    listed = list(words)
    return ", ".join(listed[:-1]) + " and " + listed[-1] if len(listed) > 1 else "".join(listed)


def _listed(words: Iterable[str]) -> str:
    return "the filters are " + ", ".join(sorted(words))


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    if len(numbers) > MAX_ITERATIONS:
        raise TemplateRuntimeError(f"range() has over {MAX_ITERATIONS} numbers")
    return numbers


def _join(values: Any, between: str = "") -> str:
    words = [str(printable(value)) for value in values]
    if sum(map(len, words)) + len(words) * len(str(between)) > MAX_TEXT:
        raise TemplateRuntimeError(f"the text is over {MAX_TEXT} characters")
    return str(between).join(words)


def _replace(text: Any, old: Any, new: Any) -> str:
    before, old, new = str(text), str(old), str(new)
    if len(before) + before.count(old) * len(new) > MAX_TEXT:
        raise TemplateRuntimeError(f"the text is over {MAX_TEXT} characters")
    return before.replace(old, new)


def _round(number: Any, digits: int = 0) -> float | int:
    return round(float(number), digits) if digits else round(float(number))


#: What makes a text a template.
MARKERS = re.compile(r"\{[{%#]")
