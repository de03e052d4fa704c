"""The items of a manifest as rows, page by page, on their way into a journal."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from batch_runner.models import InputFile, ItemSpec
from batch_runner.util.text import json_text

Row = tuple[Any, ...]

#: Items imported together.
PAGE = 500
#: Bytes of checked items that are kept in memory until the import; more are expanded again.
KEPT_BYTES = 64_000_000

#: Columns that the manifest decides, in the order of a row.
COLUMNS = (
    "key",
    "position",
    "id",
    "name",
    "attempts",
    "prompt",
    "workflow",
    "params",
    "variables",
    "inputs",
    "source",
)


class ItemImport:
    """The items of one manifest, expanded once for both the check and the import if they fit."""

    def __init__(
        self, specs: Callable[[], Iterable[ItemSpec]], *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        """`specs` expands the manifest; `check` and `pages` raise what it raises."""
        self._specs = specs
        self._kept_bytes = kept_bytes
        self._kept: list[bytes] | None = None
        self._kept_for: str | None = None

    def check(self, fingerprint: str | None = None) -> None:
        """Expand all items, so that every mistake is raised before anything is written.

        `fingerprint` is the manifest's, taken just before; None: unknown.
        """
        kept: list[bytes] = []
        size = 0
        for page in pages_of(self._specs()):
            if size <= self._kept_bytes:
                kept.append(pickle.dumps(page, pickle.HIGHEST_PROTOCOL))
                size += len(kept[-1])
        if size <= self._kept_bytes:
            self._kept, self._kept_for = kept, fingerprint

    def pages(self, fingerprint: str | None = None) -> Iterator[list[Row]]:
        """Yield the rows of all items: those checked, unless the fingerprint has changed since."""
        if self._kept is None or fingerprint != self._kept_for:
            return pages_of(self._specs())
        return (pickle.loads(page) for page in self._kept)  # noqa: S301  written by this process


def pages_of(specs: Iterable[ItemSpec]) -> Iterator[list[Row]]:
    rows = map(_row, specs)
    while page := list(islice(rows, PAGE)):
        yield page


def _row(spec: ItemSpec) -> Row:
    return (
        spec.key,
        spec.position,
        spec.id,
        spec.name,
        spec.attempts,
        spec.prompt,
        spec.workflow,
        json_text(spec.params),
        json_text(spec.variables),
        _inputs_text(spec.files),
        spec.source,
    )


def _inputs_text(files: tuple[InputFile, ...]) -> str:
    if not files:
        return "[]"
    return json.dumps([{"path": str(one.path), "sha256": one.sha256} for one in files])
