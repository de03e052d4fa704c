"""The quick ways mean the same as the long ones: params, JSON lines, slugs."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.manifest.diagnostics import Diagnostics
from batch_runner.manifest.filenames import slug
from batch_runner.manifest.sources.data_file import Rows
from batch_runner.manifest.templates.params import Params, Placeholder
from batch_runner.manifest.templates.random_values import canonical

often = settings(max_examples=200, deadline=None)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


# --- params -------------------------------------------------------------------------------------

trees = st.recursive(
    scalars | st.just(...),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def with_holes(tree: Any, filling: list[Any]) -> tuple[Any, Any, list[Any]]:
    """Return the tree with its `...` as holes, filled by hand, and what fills the holes."""
    used: list[Any] = []

    def go(value: Any, *, fill: bool) -> Any:
        if value is ...:
            number = len(used) % len(filling)
            used.append(filling[number])
            return filling[number] if fill else Placeholder(len(used) - 1)
        if isinstance(value, dict):
            return {key: go(inner, fill=fill) for key, inner in value.items()}
        if isinstance(value, list):
            return [go(inner, fill=fill) for inner in value]
        return value

    holed = go(tree, fill=False)
    used.clear()
    return holed, go(tree, fill=True), used


def longest(value: Any) -> str:
    if isinstance(value, str):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(longest, inner), key=len, default="")


@often
@given(trees, st.lists(values, min_size=1, max_size=4))
def test_params_with_holes_are_filled_spelled_and_searched_like_any_others(
    tree: Any, filling: list[Any]
) -> None:
    holed, by_hand, used = with_holes(tree, filling)
    params = Params(holed, [])

    assert canonical(params.filled(used)) == params.spelled(used) == canonical(by_hand)
    assert list_of_keys(params.filled(used)) == list_of_keys(by_hand)
    assert params.longest_text(used) == longest(by_hand)


def list_of_keys(value: Any) -> str:
    return json.dumps(value)  # in the order in which they are sent


def test_one_item_does_not_see_what_another_was_filled_with() -> None:
    params = Params({"6": {"text": Placeholder(0), "steps": 20}, "7": [Placeholder(1)]}, [])

    first, second = params.filled(["a", 1]), params.filled(["b", 2])

    assert first == {"6": {"text": "a", "steps": 20}, "7": [1]}
    assert second == {"6": {"text": "b", "steps": 20}, "7": [2]}


# --- JSON lines ---------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c:d", 'q"', "é", "\\u0061"])
inner_json = values.map(json.dumps) | st.sampled_from(
    ['"a:b"', '{"a":1,"a":2}', "NaN", "1e400", '"\\ud83d"', '"x', "[", '"\\u00e9"', " 1 "]
)
json_lines = st.builds(
    lambda pairs, head, tail: f"{head}{{{','.join(pairs)}}}{tail}",
    st.lists(st.builds('"{}":{}'.format, names, inner_json), min_size=1, max_size=4),
    st.sampled_from(["", " "]),
    st.sampled_from(["", " ", ",", "{}", "\r"]),
)


def strictly(line: str) -> dict[str, Any] | None:
    """Return the row as the long way reads it, None when it is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def never(word: str) -> float:
        raise ValueError(word)

    try:
        row = json.loads(line, object_pairs_hook=once, parse_constant=never)
        json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    empty = all(value is None or str(value).strip() == "" for value in row.values())
    return None if empty else dict(row)


@often
@given(json_lines)
def test_a_json_line_is_read_as_strictly_as_ever(line: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(line.encode())

        rows = [entry.variables for entry in Rows(path, "rows.jsonl").entries(Diagnostics())]

    wanted = strictly(line)
    assert json.dumps(rows) == json.dumps([] if wanted is None else [wanted])


# --- slugs --------------------------------------------------------------------------------------


@often
@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_the_slug_of_ascii_is_its_words_in_lower_case(text: str) -> None:
    assert slug(text) == "-".join(re.findall(r"[a-z0-9]+", text.replace("'", "").lower()))
