"""The sources of a job's items: prompts, data file, input files and matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from batch_runner.manifest.diagnostics import Diagnostics, excerpt
from batch_runner.manifest.input_files import find_input
from batch_runner.manifest.schema import SOURCES, Document, Prompt
from batch_runner.manifest.sources.data_file import Rows
from batch_runner.manifest.sources.file_matches import FileMatches
from batch_runner.manifest.sources.matrix import Combination, Matrix
from batch_runner.manifest.sources.prompts import Entry, Prompts
from batch_runner.manifest.templates.request import LocatingCompiler, RequestTemplate
from batch_runner.manifest.variables import check_name
from batch_runner.manifest.yaml.nodes import Mapping, Scalar, Sequence, follow
from batch_runner.util.locale import tr

#: Variables that every item has.
BUILT_IN = frozenset({"id", "n", "job"})

# Keys of a prompt that are settings; `name` is also a variable.
_OWN_SETTINGS = Prompt.model_fields.keys() - {"prompt", "name"}

_NO_COMBINATION = [Combination({}, {}, "", {}, "")]


class Sources:
    """The sources of one manifest.

    Prompts come before rows. Each is combined with every input file of `files_from`, and this with
    every combination of the matrix; files and a matrix alone give one item per combination.
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
        self.files: FileMatches | None = None
        for variable, pattern in (document.files_from or {}).items():
            location = follow(root, ("files_from", variable)).location(label)
            self.files = FileMatches(variable, pattern, folder, location)
        self._data_key = "items_from" if "items_from" in root.keys else "prompts_from"
        self._rows: Rows | None = None
        if document.data_file is not None:
            self._rows = Rows(
                find_input(folder, document.data_file),
                self._data_label(document.data_file),
                taken=frozenset(self._combined_names()),
                defaults=frozenset(document.defaults),
                encoding=document.encoding,
                sheet=document.sheet,
            )
        self._check_data_keys(diagnostics)
        self._check_any(diagnostics)

    def variables(self) -> frozenset[str] | None:
        """Return every variable that some item has; None if rows may have any."""
        known = {*BUILT_IN, *self._document.defaults, *self._document.files}
        known |= {name for entry in self._own_variables() for name in entry}
        if self.files:
            known.update(self.files.names)
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
        """Yield the valid entries in order, once the input files are found; report the invalid."""
        if self.files and not self.files.find(diagnostics):
            return
        if self._prompts is not None:
            yield from self._prompts.entries(diagnostics)
        if self._rows is not None:
            yield from self._rows.entries(diagnostics)
        if self._prompts is None and self._rows is None:
            if self.files:
                yield Entry(self.files.location, {})
            elif self.matrix:
                yield Entry(self._root.items["matrix"].location(self._label), {})

    @property
    def data(self) -> tuple[Path, ...] | None:
        """Return the files other than the manifest that decide the items; None: input files do."""
        if self.files or self._document.files:
            return None
        name = self._document.data_file
        return () if name is None else (find_input(self._folder, name),)

    def combinations(self) -> Iterable[Combination]:
        """Return the combinations of input files and matrix that each entry is combined with.

        Without (valid) ones it is one empty combination. The files are those that `entries` found.
        """
        combinations = (self.matrix.combinations if self.matrix else []) or _NO_COMBINATION
        return self.files.combined(combinations) if self.files else combinations

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

    def own_requests(self) -> Iterator[RequestTemplate]:
        """Yield the requests of prompts that replace parts of the job's."""
        entries = self._prompts.entries(Diagnostics()) if self._prompts else ()
        return (entry.request for entry in entries if entry.request)

    def has_prompts(self) -> bool:
        """Return whether there are entries that are nothing but a prompt."""
        return self._prompts is not None or (self._rows is not None and self._rows.are_prompts)

    def check_names(self, diagnostics: Diagnostics) -> None:
        """Report variables that the matrix or input files and another source define."""
        names = set(self._combined_names())
        columns = (self._rows.columns() if self._rows else None) or []
        locations = {
            name: self._root.items[self._data_key].location(self._label) for name in columns
        }
        for entry in self._mappings():
            own = entry.keys.items()
            locations.update(
                {name: key.location(self._label) for name, key in own if name not in _OWN_SETTINGS}
            )
        if self._root.items.get("prompts") is not None:
            locations.setdefault("prompt", self._root.items["prompts"].location(self._label))
        for name in locations.keys() & names:
            message = tr("{name} is both a variable here and in the matrix", name=excerpt(name))
            if self.files and name in self.files.names:
                message = tr("{name} is both a variable here and of files_from", name=excerpt(name))
            diagnostics.add(locations[name], message, hint=tr("rename one of them"))
        if self.files:
            self._check_file_names(self.files, diagnostics)

    def _check_file_names(self, files: FileMatches, diagnostics: Diagnostics) -> None:
        check_name(files.variable, files.location, diagnostics)
        others = {
            "files": self._document.files,
            "defaults": self._document.defaults,
            "matrix": self.matrix.names if self.matrix else (),
        }
        for key, variables in others.items():
            for name in set(files.names).intersection(variables):
                message = tr("{name} is also a variable under {key}", name=excerpt(name), key=key)
                diagnostics.add(files.location, message, hint=tr("rename one of them"))

    def _combined_names(self) -> list[str]:
        """Return the variables of matrix and input files."""
        return [
            *(self.matrix.names if self.matrix else ()),
            *(self.files.names if self.files else ()),
        ]

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

    def _check_data_keys(self, diagnostics: Diagnostics) -> None:
        """Report keys that belong to a data file of another kind, or to none."""
        keys, name = self._root.keys, (self._document.data_file or "").lower()
        if {"prompts_from", "items_from"} <= keys.keys():
            diagnostics.add(
                keys["items_from"].location(self._label),
                tr("items_from is the earlier name of prompts_from, and both are here"),
                hint=tr("remove one of them"),
            )
        if "encoding" in keys and self._data_key not in keys:
            diagnostics.add(
                keys["encoding"].location(self._label),
                tr(
                    "encoding is that of the file under prompts_from or items_from, "
                    "which is missing"
                ),
                hint=tr("remove it; this file is always UTF-8"),
            )
        elif "encoding" in keys and name.endswith(".xlsx"):
            message = tr("an .xlsx file has no encoding")
            diagnostics.add(keys["encoding"].location(self._label), message, hint=tr("remove it"))
        if "sheet" in keys and not name.endswith(".xlsx"):
            message = tr("sheet is that of an .xlsx file under prompts_from, and there is none")
            diagnostics.add(keys["sheet"].location(self._label), message, hint=tr("remove it"))

    def _check_any(self, diagnostics: Diagnostics) -> None:
        if any(key in self._root.items for key in SOURCES):
            return
        diagnostics.add(
            self._root.location(self._label),
            tr("there are no items: prompts, prompts_from, files_from and matrix are all missing"),
            hint=tr("write prompts: and under it one text a line, each after a dash"),
        )

    def _data_label(self, name: str) -> str:
        """Return the data file's path, relative to where the manifest's path is."""
        before, slash, _ = self._label.rpartition("/")
        return name if name.startswith("/") or not slash else f"{before}/{name}"
