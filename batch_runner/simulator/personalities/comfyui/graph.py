"""A workflow in API format as the server reads it: what is wrong with it, and what it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_runner.simulator.personalities.comfyui.nodes import ANY, Files, NodeClass, is_link

Graph = Mapping[str, Any]
Error = dict[str, Any]
NUMBERS = {"INT": int, "FLOAT": float}


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked workflow: `outputs` are the nodes whose files will be made.

    `error` is not None if nothing will be made. `node_errors` may be there without it: then their
    outputs are left out.
    """

    outputs: list[str] = field(default_factory=list)
    error: Error | None = None
    node_errors: dict[str, Any] = field(default_factory=dict)


def problem(kind: str, message: str, details: str = "", **info: Any) -> Error:
    """Return one error as the server shows it."""
    return {"type": kind, "message": message, "details": details, "extra_info": info}


def check(graph: Any, classes: Mapping[str, NodeClass], uploaded: set[str]) -> Checked:
    """Check a workflow as the server does; `uploaded` are the names of its input files."""
    if not isinstance(graph, dict):
        said = "No prompt provided"
        return Checked(error=problem("no_prompt", said, said))
    ends = []
    for node_id, node in graph.items():
        class_type = node.get("class_type") if isinstance(node, dict) else None
        where = f"Node ID '#{node_id}'"
        if not isinstance(class_type, str):
            said = "Cannot execute because a node is missing the class_type property."
            return Checked(error=problem("invalid_prompt", said, where))
        if class_type not in classes:
            said = f"Node '{class_type}' not found. The custom node may not be installed."
            info = {"node_id": node_id, "class_type": class_type, "node_title": class_type}
            return Checked(error=problem("missing_node_type", said, where, **info))
        if classes[class_type].makes_files:
            ends.append(node_id)
    if not ends:
        return Checked(error=problem("prompt_no_outputs", "Prompt has no outputs"))
    return _check_outputs(graph, ends, classes, uploaded)


def _check_outputs(
    graph: Graph, ends: list[str], classes: Mapping[str, NodeClass], uploaded: set[str]
) -> Checked:
    node_errors: dict[str, Any] = {}
    good = []
    for end in ends:
        wrong = {}
        for node_id in _reached(graph, end):
            errors = _node_errors(graph, node_id, classes, uploaded)
            if errors:
                wrong[node_id] = errors
        if not wrong:
            good.append(end)
        for node_id, errors in wrong.items():
            class_type = graph[node_id]["class_type"]
            entry = {"errors": errors, "dependent_outputs": [], "class_type": class_type}
            node_errors.setdefault(node_id, entry)["dependent_outputs"].append(end)
    if good:
        return Checked(good, None, node_errors)
    details = "\n".join(_lines(node_errors))
    said = "Prompt outputs failed validation"
    return Checked(
        error=problem("prompt_outputs_failed_validation", said, details), node_errors=node_errors
    )


def _lines(node_errors: dict[str, Any]) -> Iterator[str]:
    for entry in node_errors.values():
        yield f"* {entry['class_type']}:"
        for error in entry["errors"]:
            yield f"  - {error['message']}: {error['details']}"


def _reached(graph: Graph, end: str) -> list[str]:
    """Return `end` and the nodes that it needs."""
    found: dict[str, None] = {}
    waiting = [end]
    while waiting:
        node_id = waiting.pop()
        if node_id in found or node_id not in graph:
            continue
        found[node_id] = None
        waiting += [value[0] for value in inputs_of(graph[node_id]).values() if is_link(value)]
    return list(found)


def inputs_of(node: Any) -> dict[str, Any]:
    """Return the inputs of a node, {} if they cannot be read."""
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _node_errors(
    graph: Graph, node_id: str, classes: Mapping[str, NodeClass], uploaded: set[str]
) -> list[Error]:
    """Return what is wrong with the inputs of a node; the server ignores unknown ones."""
    node_class = classes[graph[node_id]["class_type"]]
    inputs, errors = inputs_of(graph[node_id]), []
    for name, kind in node_class.inputs().items():
        if name not in inputs:
            if name in node_class.required:
                said = "Required input is missing"
                errors.append(problem("required_input_missing", said, name, input_name=name))
            continue
        value = inputs[name]
        if isinstance(value, list):
            errors += _link_errors(graph, name, kind, value, classes)
        elif isinstance(kind, Files):
            errors += _file_errors(graph[node_id]["class_type"], name, value, uploaded)
        else:
            errors += _value_errors(name, kind, value)
    return errors


def _link_errors(
    graph: Graph, name: str, kind: Any, value: list[Any], classes: Mapping[str, NodeClass]
) -> list[Error]:
    info = {"input_name": name, "received_value": value}
    if not is_link(value) or not isinstance(value[1], int):
        said = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        return [problem("bad_linked_input", said, name, **info)]
    source, slot = value
    outputs = classes[graph[source]["class_type"]].outputs if source in graph else ()
    if not 0 <= slot < len(outputs):
        said = "Exception when validating inner node"
        return [problem("exception_during_inner_validation", said, repr(source), **info)]
    wanted = kind if isinstance(kind, str) else kind[0] if isinstance(kind, tuple) else ANY
    if ANY in (wanted, outputs[slot]) or wanted == outputs[slot]:
        return []
    details = f"{name}, received_type({outputs[slot]}) mismatch input_type({wanted})"
    said = "Return type mismatch between linked nodes"
    return [problem("return_type_mismatch", said, details, **info)]


def _file_errors(class_type: str, name: str, value: Any, uploaded: set[str]) -> list[Error]:
    if class_type != "LoadImage" or value == "example.png" or value in uploaded:
        return []
    said = "Custom validation failed for node"
    details = f"{name} - Invalid image file: {value}"
    info = {"input_name": name, "received_value": value}
    return [problem("custom_validation_failed", said, details, **info)]


def _value_errors(name: str, kind: Any, value: Any) -> list[Error]:
    info = {"input_name": name, "received_value": value}
    if isinstance(kind, str):
        said = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        return [problem("bad_linked_input", said, name, **info)]
    if isinstance(kind, list):
        if value in kind:
            return []
        details = f"{name}: '{value}' not in {kind}"
        return [problem("value_not_in_list", "Value not in list", details, **info)]
    type_name, limits = kind
    if type_name not in NUMBERS:
        return []
    try:
        number = NUMBERS[type_name](value)
    except (TypeError, ValueError) as error:
        said = f"Failed to convert an input value to a {type_name} value"
        return [problem("invalid_input_type", said, f"{name}, {value}, {error}", **info)]
    if number < limits["min"]:
        said = f"Value {number} smaller than min of {limits['min']}"
        return [problem("value_smaller_than_min", said, name, **info)]
    if number > limits["max"]:
        said = f"Value {number} bigger than max of {limits['max']}"
        return [problem("value_bigger_than_max", said, name, **info)]
    return []


def literals(graph: Graph) -> dict[str, dict[str, Any]]:
    """Return the inputs of each node that are not links: what a client can vary."""
    return {
        node_id: {name: each for name, each in inputs_of(node).items() if not is_link(each)}
        for node_id, node in graph.items()
    }


def prompt_of(graph: Graph) -> str | None:
    """Return the text that a sampler follows, None without one."""
    for node in graph.values():
        link = inputs_of(node).get("positive")
        start = link[0] if isinstance(link, list) and is_link(link) else None
        for node_id in _reached(graph, start) if start is not None else ():
            text = inputs_of(graph[node_id]).get("text")
            if isinstance(text, str) and text:
                return text
    return None
