"""The workflow files that a manifest names, for providers that are the user's own servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batch_runner.manifest.comfyui.graph import Graph
from batch_runner.manifest.comfyui.overrides import Fault, faults_in
from batch_runner.manifest.comfyui.reading import (
    WorkflowFile,
    WorkflowRefusedError,
    read_workflow,
)
from batch_runner.manifest.diagnostics import Location, excerpt
from batch_runner.manifest.input_files import find_input, missing_hint
from batch_runner.manifest.templates.request import RequestTemplate
from batch_runner.manifest.templates.sandbox import MARKERS
from batch_runner.manifest.yaml.nodes import Scalar, follow, key_of
from batch_runner.util.fs import file_sha256
from batch_runner.util.locale import tr
from batch_runner.util.paths import is_utf8


class WorkflowFiles(Mapping[str, Graph]):
    """The graphs of workflow files by what the manifest calls them; each file is read once.

    Iteration yields those that were read so far.
    """

    def __init__(self, folder: Path, label: str) -> None:
        """`label` is how the user named the manifest, in whose `folder` paths start."""
        self._folder = folder
        self._label = label
        self._known: dict[str, WorkflowFile] = {}
        self._refused: dict[str, WorkflowRefusedError] = {}

    def __getitem__(self, name: str) -> Graph:
        try:
            return self.get_file(name).graph
        except WorkflowRefusedError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def get_file(self, name: str) -> WorkflowFile:
        """Return the file at the path `name`, relative to the manifest's folder.

        Raises:
            WorkflowRefusedError: it is missing, or no usable workflow; with a location in the file
                if that is known.
        """
        if name in self._refused:
            raise self._refused[name]
        if name not in self._known:
            try:
                self._known[name] = self._read(name)
            except WorkflowRefusedError as error:
                self._refused[name] = error
                raise
        return self._known[name]

    def faults(self, name: str, params: Any) -> Iterator[Fault]:
        """Yield what is wrong with params for a workflow file; nothing for an unusable one."""
        graph = self.get(name)
        return iter(()) if graph is None else faults_in(params, graph)

    def digest(self, name: str, params: Any, request: RequestTemplate) -> str:
        """Return the hash that stands for a workflow file in the key of an item with `params`.

        Raises:
            WorkflowRefusedError: the file cannot be used, or not with these params.
        """
        try:
            file = self.get_file(name)
        except WorkflowRefusedError as error:
            message = str(error)
            if name != request.workflow.template.source:
                message = tr("{name}: {message}", name=excerpt(name), message=error)
            location = error.location or request.workflow.location
            raise WorkflowRefusedError(message, error.hint, location) from None
        for fault in faults_in(params, file.graph):
            written = (key_of if fault.at_key else follow)(request.written, fault.steps)
            text = str(written.value) if isinstance(written, Scalar) else ""
            at: Location | None = written.location(request.workflow.location.path)
            if not fault.at_key and MARKERS.search(text):
                at = None  # the item's value is wrong, not the template
            raise WorkflowRefusedError(fault.message, fault.hint, at)
        return file.digest

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the files that were read so far."""
        return tuple(file.path for file in self._known.values())

    def unchanged(self) -> bool:
        """Return whether the files are still as they were read."""
        try:
            return all(file_sha256(one.path) == one.content for one in self._known.values())
        except OSError:
            return False

    def _read(self, name: str) -> WorkflowFile:
        if not name.strip() or "\0" in name or not is_utf8(name):
            raise WorkflowRefusedError(tr("wanted the path of a workflow file"))
        try:
            return read_workflow(find_input(self._folder, name), self._label_of(name))
        except FileNotFoundError:
            otherwise = tr(
                "wanted a workflow of ComfyUI in API format, a file relative to this manifest"
            )
            message = tr("the workflow file {name} does not exist", name=name)
            hint = missing_hint(self._folder, name) or otherwise
            raise WorkflowRefusedError(message, hint) from None
        except OSError as error:
            message = tr(
                "the workflow file {name} cannot be read: {strerror}",
                name=name,
                strerror=error.strerror,
            )
            raise WorkflowRefusedError(message) from None

    def _label_of(self, name: str) -> str:
        """Return the file's path, relative to where the manifest's path is."""
        before, slash, _ = self._label.rpartition("/")
        return name if name.startswith("/") or not slash else f"{before}/{name}"
