"""A ComfyUI workflow in API format: nodes by id, each with a class and inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

#: {node id: {"class_type": …, "inputs": {name: value or link}, "_meta": {"title": …}}}
Graph = Mapping[str, Mapping[str, Any]]

#: Classes whose output is stored by nothing if no other node uses it.
_STORE_NOTHING = frozenset(
    {
        *("CheckpointLoaderSimple", "UNETLoader", "CLIPLoader", "DualCLIPLoader", "VAELoader"),
        *("LoraLoader", "LoraLoaderModelOnly", "ControlNetLoader", "ControlNetApply", "LoadImage"),
        *("CLIPTextEncode", "CLIPSetLastLayer", "EmptyLatentImage", "EmptySD3LatentImage"),
        *("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"),
        *("VAEDecode", "VAEDecodeTiled", "VAEEncode", "LatentUpscale", "LatentUpscaleBy"),
        *("ImageScale", "ImageScaleBy", "ImageUpscaleWithModel", "MaskPreview"),
    }
)
_STORE_NOTHING_PREFIXES = ("Preview", "Primitive")
#: An input of nodes that store files.
FILE_PREFIX = "filename_prefix"


def is_link(value: Any) -> TypeGuard[list[Any]]:
    """Return whether an input is the output of another node, as [node id, number]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def node_order(node_id: str) -> tuple[tuple[int, str], ...]:
    """Return the key by which nodes are sorted: numbers as numbers, 57:8 within 57."""
    parts = node_id.split(":")
    return tuple((int(part), "") if part.isdecimal() else (1 << 62, part) for part in parts)


def title_of(node: Mapping[str, Any]) -> str:
    """Return the title that the user sees: his own, or the class."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    own = isinstance(title, str) and title.strip()
    return str(title).strip() if own else str(node["class_type"])


def node_text(graph: Graph, node_id: str) -> str:
    """Return how messages name a node: id, and class or title with class."""
    node = graph[node_id]
    title, name = title_of(node), str(node["class_type"])
    return f"{node_id} ({name})" if title == name else f"{node_id} ({title}, {name})"


def links_of(graph: Graph) -> Iterator[tuple[str, str, str]]:
    """Yield every link as node, input, and the node that the input comes from."""
    for node_id, node in graph.items():
        for name, value in node["inputs"].items():
            if is_link(value):
                yield node_id, name, value[0]


def stores_files(graph: Graph) -> bool:
    """Return whether some node may store a file: one that no other node uses, not known not to."""
    used = {source for _, _, source in links_of(graph)}
    return any(
        FILE_PREFIX in node["inputs"]
        or not (
            node_id in used
            or node["class_type"] in _STORE_NOTHING
            or node["class_type"].startswith(_STORE_NOTHING_PREFIXES)
        )
        for node_id, node in graph.items()
    )
