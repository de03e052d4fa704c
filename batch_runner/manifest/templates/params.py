"""Fill params, a tree of values and templates, with the values for one item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batch_runner.manifest.templates.compiler import Scope, Template
from batch_runner.models import UPLOAD_MARK


def fill(tree: Any, scope: Scope) -> Any:
    """Return `tree` with every template replaced by its value for one item.

    Raises:
        RenderFailedError: a template has no value for this item.
    """
    if isinstance(tree, Template):
        return tree.render(scope)
    if isinstance(tree, dict):
        return {key: fill(value, scope) for key, value in tree.items()}
    if isinstance(tree, list):
        return [fill(value, scope) for value in tree]
    return tree


def longest_text(tree: Any) -> str:
    """Return the longest text in `tree`, the first of several; empty if there is none.

    What stands for an uploaded file is not a text.
    """
    return max(_texts(tree), key=len, default="")


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        if not tree.startswith(UPLOAD_MARK):
            yield tree
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _texts(value)
