"""Unknown keys that are known elsewhere: the hint names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.manifest import OnItem
from batch_runner.settings import Settings
from tests.unit.manifest.helpers import HEAD, problems_of, the_problem, write


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("exclude: [{a: b}]", "it belongs under matrix"),
        ("include: [{a: b}]", "it belongs under matrix"),
        ("rate: 5/s", "it belongs under limits"),
        ("folder: out/x", "it belongs under output"),
        ("command: notify", "it belongs under on_finish or on_item"),
        ("heartbeat: https://x", "it belongs under notify"),
        ("concurrency: 4", "it belongs under polling or downloads"),
        ("text: x", "it belongs under params.6"),
        ("seed: 5", "it belongs under params"),
        ("style: [ink, clay]", "it belongs under matrix"),
        ("style: ink", "it belongs under defaults"),
        ("id: x", "it belongs to a prompt"),
        ("limits: {folder: x}", "it belongs under output"),
        ("limits: {repeat: 2}", "it belongs to the top of the file"),
        ("fetching: {}", "renamed to downloads"),
        ("fetching: {fetchers: 4}", "renamed to downloads.concurrency"),
        ("pace: 4", "renamed to limits.rate"),
        ("max_bytes: 4", "it belongs under downloads"),
    ],
)
def test_key_in_the_wrong_place_gets_the_right_one(tmp_path: Path, line: str, hint: str) -> None:
    problem = the_problem(tmp_path, f"{HEAD}prompts: [a]\n{line}\n")

    assert problem.message.startswith("there is no key ")
    assert hint in (problem.hint or "")


#: The settings of each block.
BLOCKS = {
    block: fields for block, fields in Settings().model_dump().items() if isinstance(fields, dict)
}


@pytest.mark.parametrize("name", sorted({name for block in BLOCKS.values() for name in block}))
def test_every_setting_at_the_top_gets_its_block(tmp_path: Path, name: str) -> None:
    problem = the_problem(tmp_path, f"{HEAD}prompts: [a]\n{name}: 1\n")

    blocks = [block for block, fields in BLOCKS.items() if name in fields]
    blocks += ["on_item"] if name in OnItem.model_fields else []
    assert problem.hint == f"it belongs under {' or '.join(blocks)}"


@pytest.mark.parametrize(
    "line",
    [
        *["limits: {rat: 5}", "repeat: x", "output: 5", "matrix: {style: ink}", "defaults: 5"],
        *["matrix: {style: []}", "matrix: [a]", "job: a/b", "encoding: gbk", "workflow: x"],
        *["prompts_from: x.pdf", "foo: [a", "limits： {rate: 1/s}"],
    ],
)
def test_problems_of_items_are_told_with_those_of_keys(tmp_path: Path, line: str) -> None:
    prompts = "- {prompt: a, id: x}\n- {prompt: b, id: x}\n- {prompt: c, id: a/b}\n"

    found = problems_of(write(tmp_path, f"{HEAD}prompts:\n{prompts}{line}\n"))

    assert {problem.line for problem in found} == {5, 6, 7}
