"""Properties of every manifest, and random input that must neither hang nor crash."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_runner.manifest import load
from batch_runner.manifest.filenames import folded, refusal, slug
from batch_runner.manifest.templates.compiler import Compiler, RenderFailedError
from batch_runner.manifest.templates.sandbox import TemplateRefusedError
from batch_runner.manifest.yaml.scalars import AmbiguousScalar, resolve_scalar
from batch_runner.models import ItemSpec
from tests.unit.manifest.helpers import problems_of

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
often = settings(max_examples=150, deadline=None)

words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
prompts = st.lists(
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="{}"), min_size=1),
    min_size=1,
    max_size=8,
    unique=True,
)


def expand(manifest: dict[str, Any]) -> list[ItemSpec]:
    """Return the items of a manifest given as data: JSON is YAML."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.yaml"
        path.write_text(json.dumps(manifest, ensure_ascii=False))
        return list(load(path).items())


def a_job(**more: Any) -> dict[str, Any]:
    return {"workflow": "w", "params": {"6": {"text": "{{ prompt }}"}}, **more}


def by_prompt(items: list[ItemSpec]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {item.prompt: (item.key, item.name, item.params) for item in items}


@quick
@given(prompts, st.integers(1, 4))
def test_prompts_repeat_in_order(texts: list[str], n: int) -> None:
    items = expand(a_job(prompts=texts, repeat=n))

    assert [item.prompt for item in items] == [text for text in texts for _ in range(n)]
    assert [item.position for item in items] == list(range(len(items)))


@quick
@given(st.dictionaries(words, st.integers(1, 3), min_size=1, max_size=4), st.data())
def test_matrix_is_the_product_without_excluded(sizes: dict[str, int], data: st.DataObject) -> None:
    sizes = {f"v{number}": size for number, size in enumerate(sizes.values())}
    matrix: dict[str, Any] = {
        name: [f"{name} {value}" for value in range(size)] for name, size in sizes.items()
    }
    names = data.draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, unique=True))
    excluded = {name: matrix[name][0] for name in names}
    params = {"6": {name: f"{{{{ {name} }}}}" for name in sizes}}
    total = left_out = 1
    for name, size in sizes.items():
        total *= size
        left_out *= 1 if name in names else size
    if total == left_out:
        return

    items = expand({"workflow": "w", "params": params, "matrix": {**matrix, "exclude": [excluded]}})

    assert len(items) == total - left_out
    assert not [item for item in items if excluded.items() <= item.params["6"].items()]


@quick
@given(prompts, st.randoms(use_true_random=False))
def test_key_and_name_survive_reordering_and_insertion(texts: list[str], chance: Any) -> None:
    job = a_job(params={"6": {"text": "{{ prompt }}", "seed": "{{ seed() }}"}})
    before = {
        item.prompt: (item.key, item.name, item.params)
        for item in expand({**job, "prompts": texts})
    }
    shuffled = [*texts, "an added prompt"]
    chance.shuffle(shuffled)

    after = {
        item.prompt: (item.key, item.name, item.params)
        for item in expand({**job, "prompts": shuffled})
    }

    assert {text: after[text] for text in texts} == before


@quick
@given(prompts)
def test_names_are_safe_and_distinct(texts: list[str]) -> None:
    items = expand(a_job(prompts=texts))

    assert all(refusal(item.name) is None for item in items)
    assert len({folded(item.name) for item in items}) == len(items)


@often
@given(st.text(max_size=200))
def test_slug_is_a_valid_name_or_empty(text: str) -> None:
    made = slug(text)

    assert len(made) <= 40
    assert made == slug(made)
    assert not made or refusal(f"x{made}") is None


@often
@given(st.text(st.sampled_from("0123456789:-_.eExobnyNofT =~+"), max_size=12))
def test_scalar_is_read_unchanged_or_refused(text: str) -> None:
    found = resolve_scalar(text)

    assert isinstance(found, AmbiguousScalar | str | int | float | bool | None)
    assert not isinstance(found, str) or found == text


# --- random input neither hangs nor crashes -----------------------------------------------------

yaml_pieces = st.sampled_from(
    [
        *("workflow: w\n", "params: ", "prompts:\n", "  - ", "matrix: ", "{", "}", "[", "]", ", "),
        *(": ", " #", "\n", "\t", "&a ", "*a", "!!str ", "<<", "---\n", "...\n", "|\n", ">-\n"),
        *('"', "'", "{{ prompt }}", "{% if x %}", "{{", "6", "a", "no", "12:30", "~", "? ", "%"),
        *("limits: ", "rate: 5/s", "repeat: 2\n", "items_from: x.csv\n", "\ufeff", "\x07", "é"),
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(
    [
        *("job", "provider", "workflow", "params", "prompts", "matrix", "repeat", "items_from"),
        *("defaults", "files", "attempts", "limits", "timeouts", "output", "on_finish", "other"),
    ]
)


def is_accepted_or_refused(text: bytes, name: str = "job.yaml") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text)
        if name != "job.yaml":
            path = Path(folder) / "job.yaml"
            path.write_text(
                f"workflow: w\nparams: {{'6': {{t: '{{{{ a }}}}'}}}}\nitems_from: {name}\n"
            )
        problems = problems_of(path)
        assert all(one.line >= 1 and one.column >= 1 and str(one) for one in problems)


@often
@given(st.lists(yaml_pieces, max_size=25).map("".join))
def test_random_text_is_accepted_or_refused(text: str) -> None:
    is_accepted_or_refused(text.encode())


@often
@given(st.binary(max_size=100))
def test_random_bytes_are_accepted_or_refused(data: bytes) -> None:
    is_accepted_or_refused(data)


@often
@given(st.dictionaries(keys, json_values, max_size=6), st.booleans())
def test_random_structure_is_accepted_or_refused(data: dict[str, Any], base: bool) -> None:
    job = {**a_job(prompts=["a"]), **data} if base else data
    is_accepted_or_refused(
        json.dumps(job, ensure_ascii=False, default=str).encode("utf-8", "replace")
    )


@quick
@given(st.text(st.sampled_from('a,"\n\r;\t é{:') | st.characters(codec="utf-8"), max_size=60))
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_random_data_file_is_accepted_or_refused(name: str, text: str) -> None:
    is_accepted_or_refused(("a,b\n" * (name == "rows.csv") + text).encode("utf-8", "replace"), name)


template_pieces = st.sampled_from(
    [
        *("{{ ", " }}", "{% ", " %}", "{# ", " #}", "x", "y.z", " | upper", " | join", "range(9)"),
        *("seed()", "for a in x", "endfor", "if x", "endif", "'t'", "9", " * ", " ** ", " ~ ", "("),
        *(")", "[", "]", ".__class__", "{", "}", "loop.index", "-", " is defined", " else ", "%"),
    ]
)


def outcome(source: str, scope: dict[str, Any]) -> str:
    try:
        return str(Compiler().compile(source).render(scope))
    except (TemplateRefusedError, RenderFailedError) as refused:
        return str(refused)


@often
@given(st.lists(template_pieces, max_size=20).map("".join))
def test_random_template_renders_or_is_refused(source: str) -> None:
    scope = {"x": [1, 2], "y": {"z": "v"}, "seed": lambda name="": 7, "pick": lambda of: of[0]}
    assert isinstance(outcome(source, scope), str)


@often
@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_slug_of_ascii_text_is_its_lower_case_words(text: str) -> None:
    assert slug(text) == "-".join(re.findall(r"[a-z0-9]+", text.replace("'", "").lower()))
