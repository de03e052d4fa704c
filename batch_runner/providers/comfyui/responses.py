"""What the server's responses say: its errors, a task's status, and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_runner.errors import ApiError
from batch_runner.models import TaskState
from batch_runner.providers.classify import classify
from batch_runner.providers.comfyui.graph import node_order
from batch_runner.providers.http import Response
from batch_runner.util.text import printable

_STATES = {
    "pending": TaskState.PENDING,
    "in_progress": TaskState.RUNNING,
    "completed": TaskState.COMPLETED,
    "failed": TaskState.FAILED,
    "cancelled": TaskState.CANCELED,
}
#: Nodes of which a message tells the errors.
_MOST_NODES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task as one server knows it; `outputs` are those of the nodes of a finished one."""

    state: TaskState
    word: str
    message: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file on a server."""

    filename: str
    subfolder: str = ""
    type: str = "output"


def content_of(response: Response) -> Any:
    """Return the JSON of a response, None if it is none."""
    try:
        return json.loads(response.body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def error_of(
    call: str, response: Response, not_accepted: tuple[int, ...] = (), *, key_source: str = ""
) -> ApiError:
    """Return the error for a response whose HTTP status is not 2xx, other than a redirect."""
    failure = classify(response.status, None, not_accepted=not_accepted)
    assert failure is not None  # noqa: S101  else the response is no error
    detail = rejection(content_of(response))
    detail = f": {detail}" if detail else ""
    if response.status == 401:
        detail += f"; the key is that of {key_source}" if key_source else "; it wants a key"
    return ApiError(
        f"{call}: HTTP {response.status}{detail}",
        failure=failure,
        status=response.status,
        retry_after=response.retry_after,
    )


def rejection(content: Any) -> str:
    """Return as text why a workflow was not accepted, "" if the response does not say."""
    if not isinstance(content, dict):
        return ""
    nodes = list(_node_errors(content.get("node_errors")))
    error = content.get("error")
    if isinstance(error, dict):
        error = ": ".join(filter(None, (_text(error.get(name)) for name in ("message", "details"))))
    if nodes:  # they say more than the sentence about all of them
        more = len(nodes) - _MOST_NODES
        text = "; ".join(nodes[:_MOST_NODES]) + (f"; and {more} more" if more > 0 else "")
    else:
        text = _text(error)
    return printable(text, 600)


def _node_errors(errors: Any) -> Iterator[str]:
    """Yield what is wrong, node by node."""
    nodes = errors.items() if isinstance(errors, dict) else ()
    for node_id, node in sorted(nodes, key=lambda pair: node_order(pair[0])):
        node = node if isinstance(node, dict) else {}
        for error in _list(node.get("errors")):
            if isinstance(error, dict):
                parts = (_text(error.get(name)) for name in ("message", "details"))
                class_type = _text(node.get("class_type"))
                yield f"node {node_id} ({class_type}): {': '.join(filter(None, parts))}"


def job_of(content: Any) -> Job | None:
    """Return the task in a response of /api/jobs/ID, None if it is none."""
    if not isinstance(content, dict) or not isinstance(word := content.get("status"), str):
        return None
    return Job(
        state=_STATES.get(word, TaskState.UNKNOWN_WORD),
        word=printable(word, 40),
        message=_execution_error(content.get("execution_error")),
        outputs=_mapping(content.get("outputs")),
    )


def queued_job(content: Any, task_id: str) -> Job | None:
    """Return the task in a response of /queue, None if it is not there."""
    for name, word in (("queue_running", "in_progress"), ("queue_pending", "pending")):
        for entry in _list(_mapping(content).get(name)):
            if isinstance(entry, list) and len(entry) > 1 and entry[1] == task_id:
                return Job(state=_STATES[word], word=word)
    return None


def finished_job(content: Any, task_id: str) -> Job | None:
    """Return the task in a response of /history/ID, None if it is not there."""
    entry = _mapping(content).get(task_id)
    if not isinstance(entry, dict):
        return None
    status = _mapping(entry.get("status"))
    word, message = "completed", ""
    if status.get("status_str") == "error":
        word = "failed"
        for event in _list(status.get("messages")):
            name, *data = event if isinstance(event, list) and event else [""]
            if name == "execution_interrupted":
                word = "cancelled"
            if name == "execution_error":
                message = _execution_error(data[0] if data else None)
    outputs = _mapping(entry.get("outputs"))
    return Job(state=_STATES[word], word=word, message=message, outputs=outputs)


def _execution_error(error: Any) -> str:
    """Return the message of a node that failed, with the node."""
    if not isinstance(error, dict):
        return ""
    message = printable(_text(error.get("exception_message")), 300)
    message = message or _text(error.get("exception_type"))
    node, node_type = _text(error.get("node_id")), _text(error.get("node_type"))
    return f"node {node} ({node_type}): {message}" if node else message


def output_files(outputs: Mapping[str, Any]) -> list[File]:
    """Return the files that were saved for good, in the order of their nodes, each once."""
    found: dict[File, None] = {}
    for node_id in sorted(outputs, key=node_order):
        for entries in _mapping(outputs[node_id]).values():
            for entry in _list(entries):
                if isinstance(entry, dict) and isinstance(entry.get("filename"), str):
                    names = (entry.get("subfolder") or "", entry.get("type") or "output")
                    found[File(entry["filename"], *map(str, names))] = None
    return [file for file in found if file.type == "output" and file.filename]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
