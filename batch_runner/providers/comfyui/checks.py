"""Check a workflow against the nodes that a server has, before anything is queued there.

The server itself refuses a missing class and a value that is not in a list, but each item anew, and
it silently ignores an input whose name it does not know.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.comfyui.graph import Graph, is_link, node_order
from batch_runner.providers.comfyui.uploads import is_upload

#: Nodes that end a workflow and store nothing for good.
_PREVIEWS = ("Preview", "MaskPreview")
#: Values of a list that a message shows.
_MOST_VALUES = 5


def check_graph(
    graph: Graph,
    file: Mapping[str, Any],
    params: Mapping[str, Any],
    classes: Mapping[str, Any],
    workflow: str,
) -> None:
    """Check `graph`, which is `file` with `params`; `classes` is what the server says of each.

    Raises:
        ApiError: the server cannot execute it; its failure is FORBIDDEN if that is no fault of the
            item alone, so no other item can be submitted either.
    """
    for node_id in sorted(graph, key=node_order):
        name = str(graph[node_id].get("class_type"))
        where = f"{workflow}, node {node_id} ({name})"
        if name not in classes:
            raise _refusal(f"{where}: the server has no such node; install it there")
        if _is_paid(classes[name]):
            raise _refusal(f"{where}: it calls a paid service, for which no key is sent")
        inputs = _inputs_of(classes[name])
        mine = _fields(params, node_id)
        for field in mine:
            file_inputs = file[node_id].get("inputs", {})
            # Some custom nodes take inputs of any name.
            if not _is_known(field, inputs) and not (
                field in file_inputs and _is_custom(classes[name])
            ):
                raise _refusal(f"{where}: no input is named {field}{_did_you_mean(field, inputs)}")
        for field, value, values in _missing_values(graph[node_id], classes[name]):
            message = f"{where}: {field} is {value!r}, which the server does not have"
            failure = Failure.REJECTED if field in mine else Failure.FORBIDDEN
            raise ApiError(f"{message}{_some_of(values)}", failure=failure)
    if not any(_stores(node, classes) for node in graph.values()):
        raise _refusal(f"{workflow} stores no file: add a node such as Save Image")


def outdated_classes(graph: Graph, classes: Mapping[str, Any]) -> set[str]:
    """Return the classes that the server may have learned values for since `classes` was read."""
    names = ((str(node.get("class_type")), node) for node in graph.values())
    return {name for name, node in names if any(_missing_values(node, classes.get(name)))}


def _refusal(message: str) -> ApiError:
    return ApiError(message, failure=Failure.FORBIDDEN)


def _fields(params: Mapping[str, Any], node_id: str) -> list[str]:
    return [field for name, fields in params.items() if str(name) == node_id for field in fields]


def _inputs_of(info: Any) -> dict[str, Any]:
    """Return the declarations of a class's inputs by name."""
    groups = info.get("input") if isinstance(info, dict) else None
    found: dict[str, Any] = {}
    for name in ("required", "optional"):
        group = groups.get(name) if isinstance(groups, dict) else None
        found.update(group if isinstance(group, dict) else {})
    return found


def _is_known(field: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether an input is declared; those of newer nodes have names such as images.one."""
    return field in inputs or field.partition(".")[0] in inputs


def _is_paid(info: Any) -> bool:
    """Return whether a node is billed to an account at comfy.org."""
    return isinstance(info, dict) and info.get("api_node") is True


def _is_custom(info: Any) -> bool:
    module = info.get("python_module") if isinstance(info, dict) else None
    return isinstance(module, str) and module.startswith("custom_nodes")


def _missing_values(node: Mapping[str, Any], info: Any) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yield each input whose value is not in its list, as name, value and list.

    Custom nodes may accept other values; the server itself refuses those that they do not.
    """
    inputs = {} if _is_custom(info) else _inputs_of(info)
    for field, value in node.get("inputs", {}).items():
        if (values := _choices(inputs.get(field), value)) is not None:
            yield field, value, values


def _choices(declaration: Any, value: Any) -> list[Any] | None:
    """Return the values that an input may have if `value` is none of them, None if it may."""
    if not isinstance(declaration, list) or not declaration or is_link(value):
        return None
    options = declaration[1] if len(declaration) > 1 and isinstance(declaration[1], dict) else {}
    if any(str(name).endswith("_upload") and on for name, on in options.items()):
        return None  # files that may have been uploaded since
    values = declaration[0] if isinstance(declaration[0], list) else options.get("options")
    if declaration[0] != "COMBO" and not isinstance(declaration[0], list):
        return None
    if not isinstance(values, list) or isinstance(value, list | dict) or is_upload(value):
        return None
    return None if value in values else values


def _some_of(values: list[Any]) -> str:
    if not values:
        return "; it has none at all"
    more = len(values) - _MOST_VALUES
    shown = ", ".join(str(value) for value in values[:_MOST_VALUES])
    return f"; it has {shown}" + (f" and {more} more" if more > 0 else "")


def _did_you_mean(field: str, inputs: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(field, inputs, 1)
    return f"; did you mean {close[0]}?" if close else f"; it has {', '.join(inputs) or 'none'}"


def _stores(node: Mapping[str, Any], classes: Mapping[str, Any]) -> bool:
    """Return whether a node ends the workflow with files that are kept."""
    name = str(node.get("class_type"))
    info = classes.get(name)
    return isinstance(info, dict) and bool(info.get("output_node")) and not _is_preview(name)


def _is_preview(name: str) -> bool:
    return name.startswith(_PREVIEWS)
