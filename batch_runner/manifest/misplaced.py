"""Hints for keys that are known, but not where they were written, or under another name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from batch_runner.manifest.diagnostics import did_you_mean
from batch_runner.manifest.renamed import RENAMED_SETTINGS
from batch_runner.manifest.schema import Document, Matrix, Prompt
from batch_runner.manifest.yaml.nodes import Mapping, Node, Sequence
from batch_runner.util.locale import tr


def unknown_key_hint(
    name: str, block: tuple[str, ...], model: type[BaseModel], root: Mapping
) -> str:
    """Return what to do about an unknown key `name` in `block` of `root`, which `model` describes.

    `block` is empty for a key at the top.
    """
    if new := _renamed(name, block):
        return tr("renamed to {new_name}", new_name=new)
    known = [*_inner(model, block).model_fields]
    places = [place for place in _places(name, model) if place != block]
    if places == [()]:
        return tr("it belongs to the top of the file, not into a block")
    if places:
        return _belongs_under(places)
    if not block and (new := _renamed_setting(name)):
        return tr("renamed to {new_name}", new_name=new)
    guess = did_you_mean(name, known)
    if guess and name != "seed":  # not like sheet
        return guess
    if model is Document:
        if name in Prompt.model_fields:
            return tr("it belongs to a prompt: - {{prompt: …, {name}: …}}", name=name)
        if not block and name.isidentifier():
            return _variable_hint(name, root)
    return tr("known here: {names}", names=", ".join(known))


def _renamed(name: str, block: tuple[str, ...]) -> str | None:
    """Return the new name of a setting or block of earlier versions."""
    written = ".".join([*block, name])
    if written in RENAMED_SETTINGS:
        return RENAMED_SETTINGS[written]
    if block or name in Document.model_fields:
        return None
    blocks = Counter(
        new.partition(".")[0] for old, new in RENAMED_SETTINGS.items() if old.startswith(f"{name}.")
    )
    return blocks.most_common(1)[0][0] if blocks else None


def _renamed_setting(name: str) -> str | None:
    """Return the new name of a setting that was written without its block."""
    return next((new for old, new in RENAMED_SETTINGS.items() if old.endswith(f".{name}")), None)


def _places(name: str, model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Yield the blocks in which the key is known; the top is empty."""
    if name in model.model_fields:
        yield ()
    for block in model.model_fields:
        inner = _inner(model, (block,))
        if inner is not model and name in inner.model_fields:
            yield (block,)


def _belongs_under(places: list[tuple[str, ...]]) -> str:
    names = tr(" or ").join(".".join(place) for place in places)
    return tr("it belongs under {blocks}", blocks=names)


def _variable_hint(name: str, root: Mapping) -> str:
    """Return where a key belongs that is a field of the workflow, or a variable."""
    params = root.items.get("params")
    nodes: list[tuple[str, Node]] = [*params.items.items()] if isinstance(params, Mapping) else []
    for node, fields in nodes:
        if isinstance(fields, Mapping) and name in fields.items:
            return tr("it belongs under {blocks}", blocks="params." + node)
    if name == "seed":
        return tr('it belongs under params, into a node: "3": {seed: …}')
    if isinstance(root.items.get(name), Sequence):
        return tr("if it is a variable with several values, it belongs under matrix")
    return tr("if it is a variable, it belongs under defaults; else into a node of params")


def _inner(model: type[BaseModel], block: tuple[str, ...]) -> type[BaseModel]:
    """Return the model of a block, `model` itself if the block has none."""
    if block == ("matrix",):
        return Matrix
    for step in block:
        field = model.model_fields.get(step)
        annotation = field.annotation if field else None
        inner = [
            one
            for one in (annotation, *get_args(annotation))  # Block, or Block | None
            if isinstance(one, type) and issubclass(one, BaseModel)
        ]
        if not inner:
            break
        model = inner[0]
    return model
