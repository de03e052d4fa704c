"""What identifies and distinguishes an item: its digest, its id, the variables that are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from batch_runner.manifest import filenames
from batch_runner.manifest.sources.matrix import Combination
from batch_runner.manifest.sources.prompts import Entry
from batch_runner.manifest.templates.compiler import Scope
from batch_runner.manifest.templates.random_values import canonical

#: Longest value of a variable that the report shows, in characters.
MAX_SHOWN = 200
#: Number of hex digits of the key in an id that is made from a prompt.
ID_DIGITS = 6


def digest_of(content: str) -> str:
    """Return the 32 hex digits by which a request is known."""
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def id_of_item(
    entry: Entry, label: str, scope: Scope, digest: str, slug: Callable[[object], str]
) -> str:
    """Return the item's id: the given one, or a unique one made of its prompt and matrix ids."""
    if entry.id is not None:
        return f"{entry.id}-{label}" if label else entry.id
    if not entry.variables:
        return label or f"item-{digest[:ID_DIGITS]}"
    text = scope.get("prompt") or next(iter(entry.variables.values()))
    own = digest[:ID_DIGITS]
    if label:
        own = f"{label}-{own}"
    words = slug(text)
    return f"{words}-{own}" if words else own


def early_id(entry: Entry, combination: Combination, scope: Scope) -> str:
    """Return an id that does not depend on the request, for requests whose templates use the id."""
    own = canonical([entry.variables, combination.values])
    return id_of_item(entry, combination.sent_label, scope, digest_of(own), filenames.sent_slug)


_SHOWN_TYPES = (str, int, float)


def shown_variables(entry: Entry, combination: Combination, n: int | None) -> dict[str, str]:
    """Return the variables that the report shows for an item."""
    shown = dict(combination.ids)
    for name, value in entry.variables.items():
        if (
            isinstance(value, _SHOWN_TYPES)
            and name != "prompt"
            and len(text := str(value)) <= MAX_SHOWN
        ):
            shown[name] = text
    if n is not None:
        shown["n"] = str(n)
    return shown
