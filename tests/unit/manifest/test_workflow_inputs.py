"""Which inputs of a workflow are varied, and the first manifest that varies them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batch_runner.manifest import load
from batch_runner.manifest.comfyui.inputs import Input, Kind, find_inputs, usual_choice
from batch_runner.manifest.comfyui.starter import workflow_starter
from batch_runner.manifest.traits import UsualTraits
from batch_runner.models import ItemSpec
from tests.unit.manifest.helpers import write

OWN = {"comfyui": UsualTraits(own_server=True)}


def node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


#: The negative prompt comes first, so position does not tell which is which.
SIMPLE = {
    "2": node("CLIPTextEncode", text="blurry: yes", clip=["4", 1]),
    "3": node("KSampler", seed=7, steps=20, positive=["16", 0], negative=["2", 0], model=["4", 0]),
    "4": node("CheckpointLoaderSimple", ckpt_name="sdxl.safetensors"),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "8": node("LoadImage", image="bride.png"),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    "16": node("CLIPTextEncode", text="a horse", clip=["4", 1]),
}
#: Both prompts pass through one node, and one text has a node of its own.
CONTROLLED = {
    **SIMPLE,
    "3": node("KSampler", seed=7, positive=["20", 0], negative=["20", 1]),
    "16": node("CLIPTextEncode", text=["21", 0], clip=["4", 1]),
    "20": node("ControlNetApplyAdvanced", positive=["16", 0], negative=["2", 0], strength=1),
    "21": node("PrimitiveStringMultiline", value="a horse"),
}
#: Without a negative prompt; the guider asks for the positive one.
GUIDED = {
    "6": node("CLIPTextEncode", text="a horse", clip=["11", 0]),
    "11": node("DualCLIPLoader", clip_name1="a", clip_name2="b"),
    "13": node("SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0]),
    "22": node("BasicGuider", model=["12", 0], conditioning=["26", 0]),
    "25": node("RandomNoise", noise_seed=7),
    "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
    "12": node("UNETLoader", unet_name="flux"),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["13", 0]),
}
#: The negative prompt is made of the positive one.
ZEROED = {
    "6": node("CLIPTextEncodeSDXL", text_g="a horse", text_l="in snow", width=1024),
    "7": node("ConditioningZeroOut", conditioning=["6", 0]),
    "31": node("KSampler", seed=7, positive=["6", 0], negative=["7", 0]),
    "32": node("KSamplerAdvanced", noise_seed=7, positive=["6", 0], negative=["7", 0]),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["31", 0]),
}


def named(graph: dict[str, Any]) -> dict[str, Kind]:
    return {one.name: one.kind for one in find_inputs(graph)}


def items_of(folder: Path, graph: dict[str, Any], text: str) -> list[ItemSpec]:
    write(folder, json.dumps(graph), "cards.json")
    return list(load(write(folder, text), providers=OWN).items())


def test_inputs_are_listed_with_the_positive_prompt_first() -> None:
    assert named(SIMPLE) == {
        "16.text": Kind.POSITIVE,
        "2.text": Kind.NEGATIVE,
        "3.seed": Kind.SEED,
        "5.width": Kind.SIZE,
        "5.height": Kind.SIZE,
        "5.batch_size": Kind.SIZE,
        "8.image": Kind.IMAGE,
    }
    assert next(iter(named(SIMPLE))) == "16.text"


@pytest.mark.parametrize(
    ("graph", "prompts", "negative"),
    [
        (CONTROLLED, ["21.value"], ["2.text"]),
        (GUIDED, ["6.text"], []),
        (ZEROED, ["6.text_g", "6.text_l"], []),
    ],
    ids=["controlled", "guided", "zeroed"],
)
def test_links_from_the_sampler_tell_the_prompts_apart(
    graph: dict[str, Any], prompts: list[str], negative: list[str]
) -> None:
    kinds = named(graph)

    assert [name for name, kind in kinds.items() if kind is Kind.POSITIVE] == prompts
    assert [name for name, kind in kinds.items() if kind is Kind.NEGATIVE] == negative


def test_links_in_a_circle_are_followed_once() -> None:
    circle = {
        "1": node("Concat", conditioning=["2", 0]),
        "2": node("Concat", conditioning=["1", 0], text="a"),
        "3": node("KSampler", seed=1, positive=["1", 0]),
    }

    assert named(circle)["2.text"] is Kind.POSITIVE


def test_prompt_and_all_seeds_are_varied_if_nobody_says() -> None:
    usual = [one.name for one in usual_choice(find_inputs(ZEROED))]

    assert usual == ["6.text_g", "6.text_l", "31.seed", "32.noise_seed"]


def test_first_manifest_varies_prompt_and_seed(tmp_path: Path) -> None:
    text = workflow_starter("cards.json", usual_choice(find_inputs(SIMPLE)), {})

    first, second, *more = items_of(tmp_path, SIMPLE, f"{text}repeat: 2\n")

    assert first.params["16"] == second.params["16"] == {"text": "a horse"}
    assert first.params["3"] != second.params["3"]  # else the repeat is the same picture
    assert first.params.keys() == {"16", "3"}
    assert len(more) == 2


def test_first_manifest_keeps_the_values_of_all_chosen_inputs(tmp_path: Path) -> None:
    write(tmp_path, b"a photo", "bride.jpg")
    text = workflow_starter("cards.json", find_inputs(SIMPLE), {"8.image": "bride.jpg"})

    item, _ = items_of(tmp_path, SIMPLE, text)

    assert item.params["2"] == {"text": "blurry: yes"}
    assert item.params["5"] == {"width": 512, "height": 768, "batch_size": 1}
    assert [file.path.name for file in item.files] == ["bride.jpg"]


@pytest.mark.parametrize("prompt", ["a: b {{ c }}", "one\ntwo", "", "  马  "])
def test_first_manifest_has_the_prompt_of_the_workflow(prompt: str, tmp_path: Path) -> None:
    graph = {**SIMPLE, "16": node("CLIPTextEncode", text=prompt, clip=["4", 1])}
    text = workflow_starter("cards.json", usual_choice(find_inputs(graph)), {})

    prompts = [item.prompt for item in items_of(tmp_path, graph, text)]

    assert prompts[:-1] == ([prompt.strip()] if prompt else [])


def test_same_field_of_two_nodes_gets_two_variables(tmp_path: Path) -> None:
    graph = {**SIMPLE, "57:8": node("EmptyLatentImage", width=64, height=64)}
    text = workflow_starter("cards.json", find_inputs(graph)[:1] + sizes(graph), {})

    item, _ = items_of(tmp_path, graph, text)

    assert item.params["5"]["width"] == 512
    assert item.params["57:8"] == {"width": 64, "height": 64}


def sizes(graph: dict[str, Any]) -> list[Input]:
    return [one for one in find_inputs(graph) if one.kind is Kind.SIZE]


def test_first_manifest_without_a_text_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        workflow_starter("cards.json", sizes(SIMPLE), {})
