"""The YAML document as a tree of values with their locations."""

from __future__ import annotations

from collections.abc import Sequence as Steps
from typing import Any

from batch_runner.manifest.diagnostics import Location


class _Broken:
    """Value of a node whose problem was reported; nothing more is reported about it."""

    def __repr__(self) -> str:
        return "BROKEN"


BROKEN = _Broken()


class Node:
    """A value in the document; line and column count from 1."""

    __slots__ = ("column", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column

    def location(self, label: str) -> Location:
        """Return where the value is, in the file that the user named `label`."""
        return Location(label, self.line, self.column)


class Scalar(Node):
    """A single value: text, number, boolean, None or `BROKEN`."""

    __slots__ = ("value",)

    def __init__(self, line: int, column: int, value: Any) -> None:
        self.line = line
        self.column = column
        self.value = value


class Sequence(Node):
    """A list."""

    __slots__ = ("items",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.items: list[Node] = []


class Mapping(Node):
    """A mapping; its keys are text as written, `keys` holds their locations."""

    __slots__ = ("broken", "items", "keys")

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.items: dict[str, Node] = {}
        self.keys: dict[str, Scalar] = {}
        self.broken = False  # one of its keys was invalid, and that was reported


def plain(node: Node) -> Any:
    """Return the value without locations; broken values become None."""
    if isinstance(node, Scalar):
        return None if node.value is BROKEN else node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items.items()}
    raise TypeError(node)


def is_broken(node: Node) -> bool:
    """Return whether the value was reported as invalid."""
    if isinstance(node, Mapping):
        return node.broken
    return isinstance(node, Scalar) and node.value is BROKEN


def holds_broken(node: Node) -> bool:
    """Return whether anything in the node was reported as invalid."""
    if isinstance(node, Sequence):
        return any(map(holds_broken, node.items))
    if isinstance(node, Mapping):
        return node.broken or any(map(holds_broken, node.items.values()))
    return is_broken(node)


def follow(node: Node, steps: Steps[int | str]) -> Node:
    """Return the node at a path of keys and indexes, or the last existing one on that path."""
    for step in steps:
        if isinstance(node, Mapping) and step in node.items:
            node = node.items[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node


def key_of(node: Node, steps: Steps[int | str]) -> Node:
    """Return the node of the last key of a path, or of its value if it is not a key."""
    parent = follow(node, steps[:-1])
    if isinstance(parent, Mapping) and str(steps[-1]) in parent.keys:
        return parent.keys[str(steps[-1])]
    return follow(node, steps)
