"""Find the inputs of a workflow that are usually varied: texts, seeds, sizes and images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from batch_runner.manifest.comfyui.graph import Graph, is_link, node_order
from batch_runner.util.locale import mark_tr


class Kind(StrEnum):
    """What an input is for."""

    POSITIVE = mark_tr("positive prompt")  #: a text that a sampler is to follow
    NEGATIVE = mark_tr("negative prompt")
    TEXT = mark_tr("text")
    SEED = mark_tr("seed")
    SIZE = mark_tr("size")
    IMAGE = mark_tr("image")

    @property
    def is_text(self) -> bool:
        return self in (Kind.POSITIVE, Kind.NEGATIVE, Kind.TEXT)


class Input(NamedTuple):
    """An input with a value of its own, not one that comes from another node."""

    node: str
    field: str
    kind: Kind
    value: Any

    @property
    def name(self) -> str:
        """Return NODE.FIELD."""
        return f"{self.node}.{self.field}"


_TEXT_FIELDS = frozenset(
    {"text", "prompt", "text_g", "text_l", "clip_l", "t5xxl", "positive", "negative", "string"}
)
_SIZE_FIELDS = frozenset({"width", "height", "batch_size"})
#: Inputs by which a prompt does not come to a sampler.
_NOT_FOLLOWED = frozenset(
    {"clip", "model", "vae", "image", "images", "pixels", "mask", "latent_image", "latent"}
    | {"samples", "control_net", "style_model", "clip_vision_output", "noise", "sigmas", "sampler"}
)


def find_inputs(graph: Graph) -> list[Input]:
    """Return the inputs that are usually varied, by kind and node: the positive prompts first."""
    roles = _roles(graph)
    found = [
        Input(node_id, field, kind, value)
        for node_id in sorted(graph, key=node_order)
        for field, value in graph[node_id]["inputs"].items()
        if (kind := _kind(graph[node_id], field, value, roles.get(node_id)))
    ]
    order = list(Kind)
    return sorted(found, key=lambda one: order.index(one.kind))


def usual_choice(inputs: list[Input]) -> list[Input]:
    """Return the inputs to vary if nobody says: the prompt, and all seeds.

    If several inputs have the prompt's text, such as those of two encoders, it is all of them.
    """
    texts = [one for one in inputs if one.kind.is_text and one.kind is not Kind.NEGATIVE]
    prompts = texts[:1]
    for one in texts[1:]:
        same_node = one.node == texts[0].node
        if one.kind is texts[0].kind and (same_node or one.value == texts[0].value):
            prompts.append(one)
    return [*prompts, *(one for one in inputs if one.kind is Kind.SEED)]


def _kind(node: Mapping[str, Any], field: str, value: Any, role: Kind | None) -> Kind | None:
    name = str(node["class_type"])
    if isinstance(value, str):
        if field == "image" and "Load" in name and "Image" in name:
            return Kind.IMAGE
        is_value = field == "value" and ("String" in name or "Text" in name)
        return (role or Kind.TEXT) if field in _TEXT_FIELDS or is_value else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if field == "seed" or field.endswith("_seed"):
        return Kind.SEED
    makes_latents = name.startswith("Empty") or "Latent" in name
    return Kind.SIZE if field in _SIZE_FIELDS and makes_latents else None


def _roles(graph: Graph) -> dict[str, Kind]:
    """Return the nodes from which a sampler's prompts come, and which prompt."""
    roles: dict[str, Kind] = {}
    for kind, names in (
        (Kind.POSITIVE, ("positive",)),
        (Kind.NEGATIVE, ("negative",)),
        (Kind.POSITIVE, ("conditioning",)),  # of guiders without a negative one
    ):
        for node_id in sorted(graph, key=node_order):
            node = graph[node_id]
            if names == ("conditioning",) and "Guider" not in str(node["class_type"]):
                continue
            for name in names:
                for source in _sources(graph, node["inputs"].get(name), kind, set()):
                    roles.setdefault(source, kind)
    return roles


def _sources(graph: Graph, link: Any, kind: Kind, seen: set[str]) -> Iterator[str]:
    """Yield the nodes that `link` leads to, nearest first."""
    if not is_link(link) or link[0] in seen or link[0] not in graph:
        return
    seen.add(link[0])
    yield link[0]
    inputs = graph[link[0]]["inputs"]
    other = {"positive": Kind.NEGATIVE, "negative": Kind.POSITIVE}
    for name, value in inputs.items():
        if name not in _NOT_FOLLOWED and other.get(name) is not kind:
            yield from _sources(graph, value, kind, seen)
