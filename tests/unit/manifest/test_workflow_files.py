"""Manifests of providers that are the user's own servers: workflow files, and params over them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_runner.errors import ManifestError, Problem, UsageError
from batch_runner.manifest import Manifest, load
from batch_runner.manifest.traits import UsualTraits
from batch_runner.models import ItemSpec
from tests.unit.manifest.helpers import location, write

OWN = {"comfyui": UsualTraits(own_server=True), "baicai": UsualTraits()}
HEAD = "provider: comfyui\nworkflow: cards.json\n"
PARAMS = 'params: {"6": {text: "{{ prompt }}"}}\n'
JOB = f"{HEAD}{PARAMS}prompts: [a horse]\n"
GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            **{"seed": 7, "steps": 20, "cfg": 8, "sampler_name": "euler", "tiled": False},
            **{"model": ["4", 0], "positive": ["6", 0], "latent_image": ["5", 0]},
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512}},
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "a dog", "clip": ["4", 1]},
        "_meta": {"title": "Positive prompt"},
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "out", "images": ["8", 0]}},
    "10": {"class_type": "PrimitiveString", "inputs": {"value": "ink"}},
    "11": {"class_type": "Concatenate", "inputs": {"text_a": ["10", 0]}},
}


def manifest(folder: Path, text: str = JOB, graph: Any = GRAPH) -> Manifest:
    """Return the manifest beside the workflow file cards.json."""
    content = graph if isinstance(graph, bytes) else json.dumps(graph).encode()
    (folder / "cards.json").write_bytes(content)
    return load(write(folder, text), providers=OWN)


def items(folder: Path, text: str = JOB, graph: Any = GRAPH) -> list[ItemSpec]:
    return list(manifest(folder, text, graph).items())


def problems(folder: Path, text: str = JOB, graph: Any = GRAPH) -> list[Problem]:
    with pytest.raises(ManifestError) as caught:
        items(folder, text, graph)
    return caught.value.problems


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    change(graph)
    return graph


def test_item_keeps_the_name_of_its_workflow_file(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    (item,) = found.items()

    assert (item.workflow, item.params) == ("cards.json", {"6": {"text": "a horse"}})
    assert found.workflow_files is not None
    assert found.workflow_files["cards.json"] == GRAPH


def test_key_depends_on_content_of_the_workflow_not_on_its_name(tmp_path: Path) -> None:
    (first,) = items(tmp_path)
    (spaced,) = items(tmp_path, graph=json.dumps(GRAPH, indent=4).encode())
    titled = changed(lambda graph: graph["6"].update(_meta={"title": "Other"}))
    (retitled,) = items(tmp_path, graph=titled)
    (more_steps,) = items(
        tmp_path, graph=changed(lambda graph: graph["3"]["inputs"].update(steps=9))
    )
    write(tmp_path, json.dumps(GRAPH), "other.json")
    (renamed,) = items(tmp_path, JOB.replace("cards.json", "other.json"))

    assert first.key == spaced.key == retitled.key == renamed.key
    assert more_steps.key != first.key


def test_key_of_an_item_with_a_workflow_file_never_changes(tmp_path: Path) -> None:
    assert [item.key for item in items(tmp_path)] == ["b7b920eeea78182434d2c2b6fe3a11ba"]


def test_fingerprint_changes_with_the_workflow_file(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    mark = found.fingerprint()

    assert mark is not None
    assert manifest(tmp_path).fingerprint() == mark
    assert manifest(tmp_path, graph=json.dumps(GRAPH, indent=1).encode()).fingerprint() != mark
    assert found.fingerprint() is None  # another file than it was read from


def test_templated_workflow_file_is_read_for_each_item(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(GRAPH), "ink.json")
    job = JOB.replace("cards.json", '"{{ style }}.json"').replace(
        "[a horse]", "[{prompt: a, style: ink}, {prompt: b, style: cards}]"
    )

    found = manifest(tmp_path, job)

    assert [item.workflow for item in found.items()] == ["ink.json", "cards.json"]
    assert found.fingerprint() is None
    (problem,) = problems(tmp_path, job.replace("style: cards", "style: oil"))
    assert "oil.json does not exist" in problem.message


def without(*nodes: str) -> dict[str, Any]:
    return {node: content for node, content in GRAPH.items() if node not in nodes}


PREVIEWED = {
    **without("9", "11"),
    "12": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
}
EDITOR = {"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}
FILES: dict[str, tuple[Any, str, str | None]] = {
    "editor": (EDITOR, "format of ComfyUI's editor", "Export (API)"),
    "no-json": (b"\x89PNG\r\n\x1a\n\xff", "is not JSON", "Export (API)"),
    "cut-off": (b'{"3": {"class', "is not JSON", "Export (API)"),
    "empty-file": (b" \n", "is empty", "Export (API)"),
    "no-nodes": ({}, "has no nodes", "Export (API)"),
    "list": ([GRAPH], "not a workflow of ComfyUI", "Export (API)"),
    "other": ({"a": {"b": 1}}, "not a workflow of ComfyUI", "Export (API)"),
    "request": ({"prompt": GRAPH}, "under the key prompt", "only the value"),
    "half": ({**GRAPH, "12": {"inputs": {}}}, "12 in the workflow is no node", "Export (API)"),
    "nan": (b'{"3": {"class_type": "A", "inputs": {"cfg": NaN}}}', "NaN", None),
    "deep": (b'{"a": ' + b"[" * 100_000, "nested too deeply", None),
    "torn": (without("4"), "comes from node 4", "export it again"),
    "no-output": (without("9", "11"), "stores no file", "Save Image"),
    "preview": (PREVIEWED, "stores no file", "a preview is not enough"),
}


@pytest.mark.parametrize("case", FILES)
def test_unusable_workflow_file_is_refused(case: str, tmp_path: Path) -> None:
    graph, message, hint = FILES[case]

    (problem,) = problems(tmp_path, graph=graph)

    assert message in problem.message
    assert (hint or "") in (problem.hint or "")


def test_output_node_of_an_unknown_class_is_accepted(tmp_path: Path) -> None:
    graph = changed(lambda graph: graph["9"].update(class_type="VHS_VideoCombine"))
    del graph["9"]["inputs"]["filename_prefix"], graph["10"], graph["11"]

    assert len(items(tmp_path, graph=graph)) == 1


def test_mistake_in_json_is_shown_in_the_workflow_file(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, graph=b'{"3":\n  [}')

    assert problem.path == str(tmp_path / "cards.json")
    assert location(problem) == (2, 4)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("crads.json", "does not exist", "did you mean cards.json?"),
        ("horses", "does not exist", "API format"),
        (".", "not a regular file", ""),
    ],
)
def test_missing_workflow_file_is_refused(
    name: str, message: str, hint: str, tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, JOB.replace("cards.json", name))

    assert message in problem.message
    assert hint in (problem.hint or "")
    assert location(problem) == (2, 11)


# fmt: off
OVERRIDES = {
    '"6": {txt: b}': ("node 6 (Positive prompt, CLIPTextEncode) has no field", "mean text?"),
    '"66": {text: b}': ("no node 66", "6 (Positive prompt, CLIPTextEncode)"),
    '"Positive prompt": {text: b}': ("no node Positive prompt", "did you mean 6?"),
    '"1": {lora: b}': ("no node 1", "3 (KSampler), 4 (CheckpointLoaderSimple)"),
    '"3": {steps: "20"}': ("wanted a number, this is text: 20", "| int"),
    '"3": {steps: true}': ("wanted a number, this is true or false", ""),
    '"3": {steps: null}': ("wanted a number, this is nothing", ""),
    '"3": {tiled: "false"}': ("wanted true or false, this is text", "without quotes"),
    '"4": {ckpt_name: 7}': ("wanted text, this is a number: 7", 'write "7" in quotes'),
    '"4": {ckpt_name: [a, b]}': ("wanted text, this is a list", ""),
    '"4": {ckpt_name: ["40", 0]}': ("there is no node 40", "did you mean 4?"),
    '"3": {model: sdxl.safetensors}': ("connected to node 4 (CheckpointLoaderSimple)", "ckpt_name"),
    '"9": {images: "b.png"}': ("connected to node 8 (VAEDecode)", "one before it"),
    '"9": {filename_prefix: b}': ("the run itself sets filename_prefix", "output.name"),
}
# fmt: on


@pytest.mark.parametrize("wrong", OVERRIDES)
def test_params_that_do_not_fit_the_workflow_are_refused(wrong: str, tmp_path: Path) -> None:
    message, hint = OVERRIDES[wrong]
    job = f'{HEAD}params:\n  {wrong}\n  "10": {{value: "{{{{ prompt }}}}"}}\nprompts: [a]\n'

    (problem,) = problems(tmp_path, job)

    assert message in problem.message
    assert hint in (problem.hint or "")
    assert problem.line == 4


@pytest.mark.parametrize(
    "right",
    ['"3": {cfg: 7.5}', '"3": {model: ["10", 0]}', '"11": {text_a: b}', '"3": {seed: ["10", 0]}'],
)
def test_params_that_fit_the_workflow_are_accepted(right: str, tmp_path: Path) -> None:
    job = f'{HEAD}params:\n  "6": {{text: "{{{{ prompt }}}}"}}\n  {right}\nprompts: [a]\n'

    assert len(items(tmp_path, job)) == 1


def test_text_of_a_csv_cell_for_a_number_is_refused_at_its_row(tmp_path: Path) -> None:
    write(tmp_path, "prompt,steps\na,20\n", "rows.csv")
    job = (
        f'{HEAD}params: {{"6": {{text: "{{{{ prompt }}}}"}}, "3": {{steps: "{{{{ steps }}}}"}}}}\n'
    )

    (problem,) = problems(tmp_path, f"{job}prompts_from: rows.csv\n")

    assert (Path(problem.path).name, problem.line) == ("rows.csv", 2)
    assert "node 3 (KSampler), steps: wanted a number, this is text: 20" in problem.message
    converted = job.replace("{{ steps }}", "{{ steps | int }}")
    (item,) = items(tmp_path, f"{converted}prompts_from: rows.csv\n")
    assert item.params["3"] == {"steps": 20}


def test_all_mistakes_of_workflow_and_params_are_reported_at_once(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(EDITOR), "editor.json")
    params = 'params: {"6": {txt: "{{ prompt }}"}, "77": {a: 1}}'
    prompts = 'a, {prompt: b, workflow: editor.json}, {prompt: c, params: {"5": {wdith: 2}}}'
    job = f"{HEAD}base_url: gpu1:8188\n{params}\nprompts: [{prompts}]\n"

    found = [location(problem) for problem in problems(tmp_path, job)]

    assert found == [(3, 11), (4, 16), (4, 38), (5, 36), (5, 77)]


SERVERS = {
    "base_url: 127.0.0.1:8188": "wanted the URL of a server such as http://127.0.0.1:8188",
    "base_url: ftp://gpu1": "wanted the URL of a server",
    "base_url: http://gpu1:99999": "wanted the URL of a server",
    "base_url: http://gpu1/?a=b": "without user name, password, query and fragment",
    "base_urls: http://gpu1": "wanted a list",
    "base_urls: []": "wanted something in it, this is empty",
    "base_url: http://gpu1\nbase_urls: [http://gpu2]": "base_url and base_urls are both here",
}


@pytest.mark.parametrize("line", SERVERS)
def test_address_that_is_no_server_is_refused(line: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{JOB}{line}\n")

    assert SERVERS[line] in problem.message


def test_password_in_an_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{JOB}base_urls: ['http://me:hunter2@gpu1']\n")

    assert "hunter2" not in str(problem)


def test_servers_are_kept_in_order_and_once(tmp_path: Path) -> None:
    urls = "base_urls: ['http://gpu2:8188/', http://gpu1:8188, http://gpu2:8188]\n"

    assert manifest(tmp_path, JOB + urls).base_urls == ("http://gpu2:8188", "http://gpu1:8188")
    assert manifest(tmp_path, f"{JOB}base_url: http://gpu1\n").base_urls == ("http://gpu1",)
    assert manifest(tmp_path).base_urls == ()


def test_forgotten_provider_of_a_workflow_file_is_named(tmp_path: Path) -> None:
    job = JOB.replace("provider: comfyui\n", "") + "base_url: http://gpu1:8188\n"

    file, server = problems(tmp_path, job)

    assert "a workflow is an id" in file.message
    assert "provider: comfyui" in (file.hint or "")
    assert "provider: comfyui" in (server.hint or "")


FLAT = {"bfl": UsualTraits(params_shape="flat"), "none": UsualTraits(needs_workflow=False)}


def test_params_without_nodes_are_sent_as_they_are(tmp_path: Path) -> None:
    job = (
        'provider: bfl\nworkflow: flux\nparams: {prompt: "{{ prompt }}", size: {w: 1, h: 2}}\n'
        "prompts: [a, {prompt: b, params: {seed: 7, size: {w: 3}}}]\n"
    )

    first, second = load(write(tmp_path, job), providers=FLAT).items()

    assert first.params == {"prompt": "a", "size": {"w": 1, "h": 2}}
    assert second.params == {"prompt": "b", "size": {"w": 3, "h": 2}, "seed": 7}


@pytest.mark.parametrize("provider", ["bfl", "baicai"])
def test_missing_workflow_is_refused_where_one_is_needed(provider: str, tmp_path: Path) -> None:
    job = f"provider: {provider}\n{PARAMS}prompts: [a]\n"

    with pytest.raises(ManifestError, match="the key workflow is missing"):
        load(write(tmp_path, job), providers={**OWN, **FLAT})


def test_service_without_workflows_takes_none(tmp_path: Path) -> None:
    job = f"provider: none\n{PARAMS}prompts: [a]\n"

    (item,) = load(write(tmp_path, job), providers=FLAT).items()

    assert item.workflow == ""
    with pytest.raises(ManifestError, match="the provider none has no workflows"):
        load(write(tmp_path, f"{job}workflow: w\n"), providers=FLAT)


def test_params_by_field_are_refused_where_nodes_are_needed(tmp_path: Path) -> None:
    job = JOB.replace(PARAMS, 'params: {prompt: "{{ prompt }}"}\n').replace("comfyui", "baicai")

    with pytest.raises(ManifestError, match=r"params\.prompt: wanted a mapping"):
        load(write(tmp_path, job.replace("cards.json", "cards")), providers=OWN)


def test_unusable_description_of_a_provider_is_a_mistake(tmp_path: Path) -> None:
    class Descriptions(dict[str, UsualTraits]):
        def __getitem__(self, name: str) -> UsualTraits:
            raise UsageError("mine.yaml is not approved")

    (tmp_path / "job.yaml").write_text(JOB)

    with pytest.raises(ManifestError, match=r"job\.yaml:1:11: mine\.yaml is not approved"):
        load(tmp_path / "job.yaml", providers=Descriptions(OWN))
