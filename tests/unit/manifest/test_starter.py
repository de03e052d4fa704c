from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.manifest.starter import SAMPLE_PHOTO, WORKFLOWS, split_field, starter
from tests.unit.manifest.helpers import items_of, write


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_starter_of_a_known_workflow_loads(workflow: str, tmp_path: Path) -> None:
    known = WORKFLOWS[workflow]
    (tmp_path / SAMPLE_PHOTO).parent.mkdir()
    (tmp_path / SAMPLE_PHOTO).write_bytes(b"a photo")

    items = items_of(write(tmp_path, starter(workflow=workflow)))

    assert [item.prompt for item in items] == list(known.prompts)
    node, field = split_field(known.prompt)
    assert items[0].params[node] == {field: items[0].prompt}
    assert len(items[0].params) == (2 if known.photo else 1)


def test_starter_manifest_has_the_given_values(tmp_path: Path) -> None:
    path = write(tmp_path, starter(workflow="w", field="22.prompt", prompts=["a horse"]))

    (item,) = items_of(path)

    assert (item.workflow, item.params) == ("w", {"22": {"prompt": "a horse"}})


AWKWARD = [
    *("no", "010", "12:30", "- a", "-", "#x", "a #b", "a: b", "end:", "x:y", "{a}", "[a]", "&a"),
    *("*a", "!a", "|", ">", "%a", "@a", "`a", "'a", '"a', "q\"uo'te", "null", "~", "2026"),
    *("{{ x }} {% y", "{# z", " lead", "trail ", "tab\there", "new\nline", "back\\slash", "…"),
    *("🐎", "🐎\ttab", "马年大吉：好", "\N{RIGHT-TO-LEFT OVERRIDE}abc", "\ufeffbom", "a\u2028b"),
    "a\x85b",
]


@pytest.mark.parametrize("prompt", AWKWARD, ids=ascii)
def test_starter_keeps_every_prompt_unchanged(tmp_path: Path, prompt: str) -> None:
    (item, _) = items_of(write(tmp_path, starter(prompts=[prompt, "another"])))

    assert item.prompt == prompt


@pytest.mark.parametrize(
    ("field", "prompts", "message"),
    [("6", ["a"], "a node and a field"), ("6.text", [" "], "at least one prompt")],
)
def test_invalid_starter_arguments_are_refused(
    field: str, prompts: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        starter(field=field, prompts=prompts)
