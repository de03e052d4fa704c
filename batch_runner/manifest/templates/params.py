"""Params: a tree of values with holes in it, the same for all items but for what fills the holes.

What does not change from item to item is built, spelled for the identity and searched for the
longest text once. Items share it, so nobody may change the params of an item in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from batch_runner.manifest.templates.compiler import Render, Scope
from batch_runner.manifest.templates.random_values import canonical, spelled

_Fill = Callable[[list[Any]], Any]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands in a tree where the value of a template goes."""

    number: int


class Params:
    """A tree of plain values and holes, and the template of each hole, in the tree's order."""

    def __init__(self, tree: Any, templates: list[Render]) -> None:
        self._templates = templates
        self.filled = _filler(tree)
        self._frame, self._slots = _frame(_spell(tree))
        self._longest, self._before = _longest_constant(tree)

    def values(self, scope: Scope) -> list[Any]:
        """Return what fills the holes for one item.

        Raises:
            RenderFailedError: a template has no value for this item.
        """
        return [render(scope) for render in self._templates]

    def spelled(self, values: list[Any]) -> str:
        """Return the filled tree as `canonical` would spell it.

        Raises:
            TypeError, ValueError, RecursionError: a value cannot be sent.
        """
        frame = self._frame.copy()
        for at, number in self._slots:
            frame[at] = spelled(values[number])
        return "".join(frame)

    def longest_text(self, values: list[Any]) -> str:
        """Return the longest text in the filled tree, the first of several; empty when none."""
        texts = [value if type(value) is str else _longest(value) for value in values]
        texts.insert(self._before, self._longest)
        return max(texts, key=len)


def _filler(tree: Any) -> _Fill:
    """Return what makes the tree from the values for its holes."""
    if isinstance(tree, Placeholder):
        return lambda values, number=tree.number: values[number]  # type: ignore[misc]
    inner = list(_children(tree))
    holed = [(key, _filler(value)) for key, value in inner if any(_holes(value))]
    if not holed:
        return lambda _: tree

    def fill(values: list[Any]) -> Any:
        made = tree.copy()
        for key, filler in holed:
            made[key] = filler(values)
        return made

    return fill


def _children(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, dict):
        yield from tree.items()
    elif isinstance(tree, list):
        yield from enumerate(tree)


def _leaves(tree: Any) -> Iterator[Any]:
    """Yield values and holes in the tree's order."""
    if isinstance(tree, dict | list):
        for _, value in _children(tree):
            yield from _leaves(value)
    else:
        yield tree


def _holes(tree: Any) -> Iterator[Placeholder]:
    return (leaf for leaf in _leaves(tree) if isinstance(leaf, Placeholder))


def _spell(tree: Any) -> Iterator[str | Placeholder]:
    """Yield the pieces of the tree's canonical spelling, keys in order, with its holes."""
    if isinstance(tree, Placeholder):
        yield tree
    elif isinstance(tree, dict):
        for number, key in enumerate(sorted(tree)):
            yield f"{',' if number else '{'}{spelled(key)}:"
            yield from _spell(tree[key])
        yield "}" if tree else "{}"
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield "," if number else "["
            yield from _spell(value)
        yield "]" if tree else "[]"
    else:
        yield canonical(tree)


def _frame(pieces: Iterator[str | Placeholder]) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the pieces as texts to join, and which of them are for the value of which hole."""
    frame = [""]
    slots: list[tuple[int, int]] = []
    for piece in pieces:
        if isinstance(piece, Placeholder):
            slots.append((len(frame), piece.number))
            frame += ["", ""]
        else:
            frame[-1] += piece
    return frame, slots


def _longest_constant(tree: Any) -> tuple[str, int]:
    """Return the longest text that is no template's, and how many holes stand before it."""
    longest, before, holes = "", 0, 0
    for leaf in _leaves(tree):
        if isinstance(leaf, Placeholder):
            holes += 1
        elif isinstance(leaf, str) and len(leaf) > len(longest):
            longest, before = leaf, holes
    return longest, before


def _longest(value: Any) -> str:
    return max((leaf for leaf in _leaves(value) if isinstance(leaf, str)), key=len, default="")
