"""Read a workflow file, which must be in ComfyUI's API format."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_runner.manifest.comfyui.graph import Graph, links_of, node_text, stores_files
from batch_runner.manifest.diagnostics import Location, excerpt
from batch_runner.manifest.templates.random_values import canonical
from batch_runner.util.locale import tr

#: The largest request that a server accepts.
MAX_BYTES = 100_000_000


class WorkflowRefusedError(ValueError):
    """A workflow file, or what is laid over it, cannot be used; with a hint.

    `location` is where the mistake is, None if that is where the file or the item is named.
    """

    def __init__(
        self, message: str, hint: str | None = None, location: Location | None = None
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.location = location


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFile:
    """A workflow file as it was read.

    `content` is the hash of its bytes. `digest` is that of what it tells the server to do: titles,
    blanks and the order of nodes do not count.
    """

    path: Path
    graph: Graph
    content: str
    digest: str


def read_workflow(path: Path, label: str) -> WorkflowFile:
    """Return the workflow in a file, which messages call `label`.

    Raises:
        WorkflowRefusedError: it is not a workflow in API format, or one that stores nothing.
        OSError: it cannot be read.
    """
    if not path.is_file():
        path.stat()  # there is none: FileNotFoundError
        raise WorkflowRefusedError(tr("this is not a regular file"))
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        most = MAX_BYTES // 1_000_000
        raise WorkflowRefusedError(tr("the file is larger than {max_bytes} MB", max_bytes=most))
    graph = _check_format(_parse(data, label))
    _check_graph(graph)
    plain = {
        node_id: {"class_type": node["class_type"], "inputs": node["inputs"]}
        for node_id, node in graph.items()
    }
    digest = hashlib.sha256(canonical(plain).encode()).hexdigest()
    content = hashlib.sha256(data).hexdigest()
    return WorkflowFile(path=path, graph=graph, content=content, digest=digest)


def export_hint() -> str:
    return tr(
        "export it for the API: open the workflow in ComfyUI and choose Export (API) in the menu "
        "Workflow; older versions have Save (API Format) once dev mode is enabled in the settings"
    )


def _parse(data: bytes, label: str) -> Any:
    if not data.strip():
        raise WorkflowRefusedError(tr("the workflow file is empty"), export_hint())
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise WorkflowRefusedError(tr("the workflow file is not JSON"), export_hint()) from None
    except json.JSONDecodeError as error:
        raise WorkflowRefusedError(
            tr("the workflow file is not JSON: {reason}", reason=error.msg),
            export_hint(),
            Location(label, error.lineno, error.colno),
        ) from None
    except RecursionError:
        raise WorkflowRefusedError(tr("the workflow file is nested too deeply")) from None
    except _NoNumberError as error:
        message = tr("the workflow file holds {value}, which is no number", value=str(error))
        raise WorkflowRefusedError(message) from None


class _NoNumberError(Exception):
    pass


def _no_number(name: str) -> None:
    raise _NoNumberError(name)


def _check_format(found: Any) -> Graph:
    if not isinstance(found, dict):
        raise WorkflowRefusedError(tr("this is not a workflow of ComfyUI"), export_hint())
    if isinstance(found.get("nodes"), list):
        message = tr("this workflow is in the format of ComfyUI's editor, not in API format")
        raise WorkflowRefusedError(message, export_hint())
    if not found:
        raise WorkflowRefusedError(tr("the workflow has no nodes"), export_hint())
    prompt = found.get("prompt")
    if isinstance(prompt, dict) and "class_type" not in prompt:
        message = tr("the workflow is under the key prompt, as in a request to the server")
        raise WorkflowRefusedError(message, tr("keep in the file only the value of that key"))
    if not any(isinstance(node, dict) and "class_type" in node for node in found.values()):
        raise WorkflowRefusedError(tr("this is not a workflow of ComfyUI"), export_hint())
    for node_id, node in found.items():
        name = node.get("class_type") if isinstance(node, dict) else None
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not (isinstance(name, str) and name and isinstance(inputs, dict)):
            message = tr(
                "{node} in the workflow is no node: it has no class_type and inputs",
                node=excerpt(node_id),
            )
            raise WorkflowRefusedError(message, export_hint())
    return found


def _check_graph(graph: Graph) -> None:
    for node_id, name, source in links_of(graph):
        if source not in graph:
            message = tr(
                "the input {field} of node {node} comes from node {source}, which the workflow "
                "does not have",
                field=excerpt(name),
                node=excerpt(node_text(graph, node_id)),
                source=excerpt(source),
            )
            raise WorkflowRefusedError(message, tr("mend the workflow in ComfyUI, export it again"))
    if not stores_files(graph):
        message = tr("the workflow stores no file: no node such as SaveImage is in it")
        hint = tr("add a Save Image node in ComfyUI, a preview is not enough; then export again")
        raise WorkflowRefusedError(message, hint)
