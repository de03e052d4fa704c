"""The graph that is submitted: a workflow file's, with an item's params and its own file names.

ComfyUI names the files of an output node `filename_prefix` + "_00001_.png" and so on. The task's id
is the prefix, so the files of a task can be found after a crash of the server, which forgets its
tasks. It also keeps the server from answering an equal graph from its cache.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batch_runner.errors import ApiError, Failure

Graph = dict[str, dict[str, Any]]

PREFIX = "filename_prefix"


@dataclass(frozen=True, slots=True)
class Files:
    """The least files that a finished task has: `nodes` that save some, and `each` of them."""

    nodes: int = 1
    each: int = 1


def node_order(node_id: str) -> tuple[tuple[int, str], ...]:
    """Return the key by which nodes are sorted: numbers as numbers, 57:8 within 57."""
    parts = node_id.split(":")
    return tuple((int(part), "") if part.isdecimal() else (1 << 62, part) for part in parts)


def laid_over(graph: Mapping[str, Any], params: Mapping[str, Any], workflow: str) -> Graph:
    """Return a copy of `graph` with the fields of `params`, which are {node: {field: value}}.

    Raises:
        ApiError: `params` names a node that the workflow does not have.
    """
    result: Graph = copy.deepcopy(dict(graph))
    for node_id, fields in params.items():
        node = result.get(str(node_id))
        if node is None:
            known = ", ".join(sorted(result, key=node_order))
            raise ApiError(
                f"{workflow} has no node {node_id}, which params names; it has {known}",
                failure=Failure.FORBIDDEN,
            )
        if not isinstance(fields, Mapping):
            raise ApiError(
                f"params of node {node_id} must be a mapping of fields to values",
                failure=Failure.REJECTED,
            )
        node["inputs"] = {**node.get("inputs", {}), **copy.deepcopy(dict(fields))}
    return result


def saving_nodes(graph: Mapping[str, Any]) -> list[str]:
    """Return the ids of the nodes whose files can be named, in their order."""
    found = (node_id for node_id, node in graph.items() if PREFIX in node.get("inputs", {}))
    return sorted(found, key=node_order)


def prefixes(task_id: str) -> Iterator[str]:
    """Yield the prefix of the files of the first node that saves some, the second, and so on."""
    yield task_id
    number = 1
    while True:
        number += 1
        yield f"{task_id}-{number}"


def name_files(graph: Graph, task_id: str) -> None:
    """Let each node that saves files name them after the task."""
    for node_id, prefix in zip(saving_nodes(graph), prefixes(task_id), strict=False):
        graph[node_id]["inputs"][PREFIX] = prefix


def files_of(graph: Mapping[str, Any]) -> Files:
    """Return how many files a finished task of `graph` has at least."""
    sizes = [node.get("inputs", {}).get("batch_size") for node in graph.values()]
    batches = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool)]
    return Files(max(1, len(saving_nodes(graph))), max([1, *batches]))


def classes_of(graph: Mapping[str, Any]) -> list[str]:
    """Return the classes of the nodes, each once."""
    return list(dict.fromkeys(str(node.get("class_type")) for node in graph.values()))


def is_link(value: Any) -> bool:
    """Return whether an input is the output of another node."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )
