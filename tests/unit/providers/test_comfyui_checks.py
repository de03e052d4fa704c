"""Workflows that a server cannot execute are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.comfyui.checks import check_graph, outdated_classes
from batch_runner.providers.comfyui.graph import laid_over
from tests.harness.comfyui import NODES, a_graph


def problem_of(params: dict[str, Any], file: dict[str, Any] | None = None) -> ApiError | None:
    file = file or a_graph()
    try:
        check_graph(laid_over(file, params, "cards.json"), file, params, NODES, "cards.json")
    except ApiError as error:
        return error
    return None


def graph_with(kind: str, **inputs: Any) -> dict[str, Any]:
    return a_graph() | {"7": {"class_type": kind, "inputs": inputs}}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"6": {"text": "a goat"}, "3": {"seed": 2, "sampler_name": "dpm"}},
        {"4": {"ckpt_name": "sdxl.safetensors"}},
        {"9": {"images": ["3", 0]}},
    ],
)
def test_workflow_that_the_server_knows_is_accepted(params: dict[str, Any]) -> None:
    assert problem_of(params) is None


@pytest.mark.parametrize(
    ("params", "failure", "message"),
    [
        ({"60": {"text": "x"}}, "forbidden", "has no node 60, which params names; it has 3, 4, 5"),
        ({"6": {"txt": "x"}}, "forbidden", "node 6 (CLIPTextEncode): no input is named txt"),
        ({"6": {"txt": "x"}}, "forbidden", "did you mean text?"),
        ({"6": "a goat"}, "rejected", "params of node 6 must be a mapping"),
        (
            {"4": {"ckpt_name": "flux.safetensors"}},
            "rejected",
            "node 4 (CheckpointLoaderSimple): ckpt_name is 'flux.safetensors', which the server "
            "does not have; it has sd15.safetensors, sdxl.safetensors",
        ),
        ({"3": {"sampler_name": "heun"}}, "rejected", "it has euler, dpm"),
    ],
)
def test_params_that_the_server_would_ignore_or_refuse(
    params: dict[str, Any], failure: str, message: str
) -> None:
    problem = problem_of(params)

    assert problem is not None
    assert (problem.failure.value, message in str(problem)) == (failure, True), str(problem)


def test_missing_class_concerns_all_items() -> None:
    problem = problem_of({}, graph_with("FaceDetailer"))

    assert problem is not None
    assert problem.failure is Failure.FORBIDDEN
    assert "node 7 (FaceDetailer): the server has no such node" in str(problem)


def test_value_of_the_file_that_is_missing_concerns_all_items() -> None:
    file = a_graph()
    file["4"]["inputs"]["ckpt_name"] = "flux.safetensors"
    problem = problem_of({}, file)

    assert problem is not None
    assert problem.failure is Failure.FORBIDDEN
    assert problem_of({"4": {"ckpt_name": "sdxl.safetensors"}}, file) is None


def test_custom_node_takes_inputs_that_the_file_names() -> None:
    file = graph_with("AnyInputs", lora_1="a")

    assert problem_of({"7": {"lora_1": "b"}}, file) is None
    assert problem_of({"7": {"lora_2": "b"}}, file) is not None


def test_file_that_may_have_been_uploaded_is_not_looked_for() -> None:
    assert problem_of({"7": {"image": "new.png"}}, graph_with("LoadImage", image="old.png")) is None


def test_paid_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NODES, "Paid", {"input": {}, "api_node": True})
    problem = problem_of({}, graph_with("Paid"))

    assert problem is not None
    assert "paid service" in str(problem)


def test_classes_are_asked_anew_only_for_an_unknown_value() -> None:
    graph = a_graph()
    assert outdated_classes(graph, NODES) == set()
    graph["4"]["inputs"]["ckpt_name"] = "new.safetensors"
    assert outdated_classes(graph, NODES) == {"CheckpointLoaderSimple"}
