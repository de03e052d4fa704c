"""Check the params of an item against the workflow that they are laid over.

A server ignores inputs that it does not know, and converts values in ways that surprise: the text
"false" is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from batch_runner.manifest.comfyui.graph import FILE_PREFIX, Graph, is_link, node_order, node_text
from batch_runner.manifest.diagnostics import closest, did_you_mean, excerpt
from batch_runner.manifest.schema_types import kind
from batch_runner.manifest.templates.compiler import Template
from batch_runner.models import UPLOAD_MARK
from batch_runner.util.locale import tr

#: Nodes that a message lists.
_LISTED = 12

#: Inputs that, when linked, carry what no text or number can stand for.
_OBJECTS = frozenset(
    {
        *("model", "clip", "vae", "positive", "negative", "conditioning", "latent_image"),
        *("latent", "samples", "image", "images", "pixels", "mask", "masks", "audio", "video"),
        *("guider", "sampler", "sigmas", "noise", "control_net", "clip_vision", "style_model"),
        *("clip_vision_output", "upscale_model"),
    }
)


class Fault(NamedTuple):
    """What is wrong with params; `steps` are the node, and the field if it is about one."""

    steps: tuple[str, ...]
    message: str
    hint: str | None
    at_key: bool = False  # a name is wrong, not its value


def faults_in(params: Any, graph: Graph) -> Iterator[Fault]:
    """Yield what is wrong with `params`; the values of templates are not known yet."""
    if not isinstance(params, Mapping):
        return
    for node_id, fields in params.items():
        if node_id not in graph:
            message = tr("the workflow has no node {node}", node=excerpt(node_id))
            yield Fault((node_id,), message, _other_node(node_id, fields, graph), at_key=True)
        elif isinstance(fields, Mapping):
            for field, value in fields.items():
                if fault := _fault(node_id, field, value, graph):
                    yield fault


def _fault(node_id: str, field: str, value: Any, graph: Graph) -> Fault | None:
    inputs = graph[node_id]["inputs"]
    if field not in inputs:
        node = excerpt(node_text(graph, node_id))
        message = tr("node {node} has no field {field}", node=node, field=excerpt(field))
        otherwise = tr("it has no fields")
        if inputs:
            otherwise = tr("its fields: {names}", names=excerpt(", ".join(inputs), width=200))
        hint = did_you_mean(field, inputs, otherwise=otherwise)
        return Fault((node_id, field), message, hint, at_key=True)
    if field == FILE_PREFIX:
        message = tr("the run itself sets {field}, to find the files again", field=field)
        return Fault((node_id, field), message, tr("output.name names the files"), at_key=True)
    if isinstance(value, Template):
        return None
    found = _value_fault(value, field, inputs[field], graph)
    if found is None:
        return None
    node = excerpt(node_text(graph, node_id))
    message = tr("node {node}, {field}: {fault}", node=node, field=excerpt(field), fault=found[0])
    return Fault((node_id, field), message, found[1])


def _value_fault(value: Any, field: str, own: Any, graph: Graph) -> tuple[str, str | None] | None:
    """Return message and hint about a value in the place of the workflow's `own`; None: fine."""
    if is_link(value):
        if value[0] in graph:
            return None
        message = tr("there is no node {node} to connect it to", node=excerpt(value[0]))
        return message, did_you_mean(value[0], graph)
    if is_link(own):
        return _instead_of_link(value, field, own[0], graph)
    wanted, seen = kind(own), kind(value)
    if wanted == seen:
        return None
    shown = excerpt(value) if isinstance(value, str | int | float) else tr(seen)
    if isinstance(value, str) and value.startswith(UPLOAD_MARK):
        shown = tr("an uploaded file")
    message = tr(
        "wanted {wanted}, this is {kind}: {value}", wanted=tr(wanted), kind=tr(seen), value=shown
    )
    if shown == tr(seen):
        message = tr("wanted {wanted}, this is {seen}", wanted=tr(wanted), seen=tr(seen))
    return message, _conversion_hint(wanted, value)


def _instead_of_link(
    value: Any, field: str, source: str, graph: Graph
) -> tuple[str, str | None] | None:
    """Check a value for an input that the workflow connects to another node.

    That node is then not asked: right for a text or a number, which some workflows keep in a node
    of their own, and impossible for a model or a picture.
    """
    if field not in _OBJECTS and isinstance(value, str | int | float):
        return None
    node = excerpt(node_text(graph, source))
    message = tr("it is connected to node {node}, and takes no value", node=node)
    names = [name for name, own in graph[source]["inputs"].items() if not is_link(own)]
    if not names:
        return message, tr("give a value to a field of that node, or of one before it")
    shown = excerpt(", ".join(names), width=200)
    return message, tr("give a value to a field of that node: {names}", names=shown)


def _conversion_hint(wanted: str, value: object) -> str | None:
    if wanted == "text" and isinstance(value, int | float):
        return tr(
            'write "{text}" in quotes, or "{{{{ VARIABLE | string }}}}" if it is from a template',
            text=excerpt(value),
        )
    if wanted == "a number" and isinstance(value, str):
        return tr(
            'write the number without quotes, or "{{ VARIABLE | int }}" if it is from a template '
            "(| float with a fraction): the cells of a CSV file are text"
        )
    if wanted == "true or false" and isinstance(value, str | int | float):
        return tr("write true or false, without quotes")
    return None


def _other_node(node_id: str, fields: Any, graph: Graph) -> str:
    """Return which node may be meant, else a list of them."""
    names = list(fields) if isinstance(fields, Mapping) else []
    titles = {node_text(graph, one).partition("(")[2][:-1]: one for one in graph}
    by_title = {title.partition(",")[0]: one for title, one in titles.items()}
    if (near := closest(node_id, by_title)) is not None:
        return tr("nodes are named by their ids: did you mean {found}?", found=by_title[near])
    able = [one for one in graph if names and all(name in graph[one]["inputs"] for name in names)]
    if len(able) == 1:
        return tr("did you mean {found}?", found=node_text(graph, able[0]))
    ids = sorted(able or graph, key=node_order)
    shown = ", ".join(node_text(graph, one) for one in ids[:_LISTED])
    more = tr(" and {count} more", count=len(ids) - _LISTED) if len(ids) > _LISTED else ""
    return tr("nodes: {names}", names=excerpt(shown, width=600) + more)
