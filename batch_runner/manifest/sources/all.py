"""The sources of a job's items: prompts, data file and matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from batch_runner.manifest.diagnostics import Diagnostics, excerpt
from batch_runner.manifest.input_files import find_input
from batch_runner.manifest.schema import Document, Prompt
from batch_runner.manifest.sources.data_file import Rows
from batch_runner.manifest.sources.matrix import Combination, Matrix
from batch_runner.manifest.sources.prompts import Entry, Prompts
from batch_runner.manifest.templates.request import LocatingCompiler, RequestTemplate
from batch_runner.manifest.yaml.nodes import Mapping, Scalar, Sequence
from batch_runner.util.locale import tr

#: Variables that every item has.
BUILT_IN = frozenset({"id", "n", "job"})

# Keys of a prompt that are settings; `name` is also a variable.
_OWN_SETTINGS = Prompt.model_fields.keys() - {"prompt", "name"}

_NO_COMBINATION = [Combination({}, {}, "", {}, "")]


class Sources:
    """The sources of one manifest.

    Prompts come before rows. Each is combined with every combination of the matrix; a matrix alone
    gives one item per combination.
    """

    def __init__(
        self, document: Document, root: Mapping, folder: Path, label: str, diagnostics: Diagnostics
    ) -> None:
        self._document = document
        self._root = root
        self._folder = folder
        self._label = label
        self._prompts: Prompts | None = None
        matrix = root.items.get("matrix")
        self.matrix: Matrix | None = None
        if isinstance(matrix, Mapping) and not matrix.broken:
            self.matrix = Matrix(matrix, label, diagnostics)
        self._rows: Rows | None = None
        if document.items_from is not None:
            self._rows = Rows(
                find_input(folder, document.items_from),
                self._data_label(document.items_from),
                taken=frozenset(self.matrix.names if self.matrix else ()),
                defaults=frozenset(document.defaults),
                encoding=document.encoding,
            )
        elif "encoding" in root.keys and "items_from" not in root.keys:
            diagnostics.add(
                root.keys["encoding"].location(label),
                tr("encoding is that of the file under items_from, which is missing"),
                hint=tr("remove it; this file is always UTF-8"),
            )
        self._check_any(diagnostics)

    def variables(self) -> frozenset[str] | None:
        """Return every variable that some item has; None if rows may have any."""
        known = {*BUILT_IN, *self._document.defaults, *self._document.files}
        known |= {name for entry in self._own_variables() for name in entry}
        if self.matrix:
            known.update(self.matrix.names, self.matrix.written_names)
        if self._rows:
            columns = self._rows.columns()
            if columns is None:
                return None
            known.update(columns)
        return frozenset(known)

    def read_prompts(
        self, request: RequestTemplate, compiler: LocatingCompiler, diagnostics: Diagnostics
    ) -> None:
        """Check all prompts and add them to `entries`."""
        node = self._root.items.get("prompts")
        if node is None:
            return
        self._prompts = Prompts(node, request, compiler, self._label)
        for _ in self._prompts.entries(diagnostics):
            pass

    def entries(self, diagnostics: Diagnostics) -> Iterator[Entry]:
        """Yield the valid entries in order; report the invalid ones."""
        if self._prompts is not None:
            yield from self._prompts.entries(diagnostics)
        if self._rows is not None:
            yield from self._rows.entries(diagnostics)
        if self._prompts is None and self._rows is None and self.matrix:
            yield Entry(self._root.items["matrix"].location(self._label), {})

    @property
    def data(self) -> tuple[Path, ...]:
        """Return the files other than the manifest that contain entries."""
        name = self._document.items_from
        return () if name is None else (find_input(self._folder, name),)

    @property
    def combinations(self) -> list[Combination]:
        """Return the combinations of the matrix; without (valid) ones, one empty combination."""
        combinations = self.matrix.combinations if self.matrix else []
        return combinations or _NO_COMBINATION

    @property
    def invalid_variables(self) -> frozenset[str]:
        """Return the variables of the matrix whose values are invalid, which was reported."""
        matrix = self.matrix
        if matrix is None:
            return frozenset()
        valid = matrix.names if matrix.combinations else ()
        return frozenset(matrix.written_names.difference(valid))

    def own_workflows(self) -> Iterator[Scalar]:
        """Yield the workflows that prompts give for themselves."""
        for entry in self._mappings():
            own = entry.items.get("workflow")
            if isinstance(own, Scalar) and isinstance(own.value, str):
                yield own

    def has_prompts(self) -> bool:
        return self._prompts is not None

    def check_names(self, diagnostics: Diagnostics) -> None:
        """Report variables that the matrix and another source define."""
        names = set(self.matrix.names) if self.matrix else set()
        columns = (self._rows.columns() if self._rows else None) or []
        locations = {name: self._root.items["items_from"].location(self._label) for name in columns}
        for entry in self._mappings():
            own = entry.keys.items()
            locations.update(
                {name: key.location(self._label) for name, key in own if name not in _OWN_SETTINGS}
            )
        if self._root.items.get("prompts") is not None:
            locations.setdefault("prompt", self._root.items["prompts"].location(self._label))
        for name in locations.keys() & names:
            message = tr("{name} is both a variable here and in the matrix", name=excerpt(name))
            diagnostics.add(locations[name], message, hint=tr("rename one of them"))

    def _own_variables(self) -> Iterator[set[str]]:
        node = self._root.items.get("prompts")
        if node is not None:
            yield {"prompt"}
        for entry in self._mappings():
            if "prompt" in entry.items:  # otherwise it is a text with a colon in it
                yield entry.items.keys() - _OWN_SETTINGS

    def _mappings(self) -> Iterator[Mapping]:
        node = self._root.items.get("prompts")
        for entry in node.items if isinstance(node, Sequence) else ():
            if isinstance(entry, Mapping):
                yield entry

    def _check_any(self, diagnostics: Diagnostics) -> None:
        items = self._root.items
        if any(key in items for key in ("prompts", "matrix", "items_from")):
            return
        diagnostics.add(
            self._root.location(self._label),
            tr("there are no items: prompts, matrix and items_from are all missing"),
            hint=tr("write prompts: and under it one text a line, each after a dash"),
        )

    def _data_label(self, name: str) -> str:
        """Return the data file's path, relative to where the manifest's path is."""
        before, slash, _ = self._label.rpartition("/")
        return name if name.startswith("/") or not slash else f"{before}/{name}"
