"""Lines of a JSONL file are read as strictly as `json` with hooks against duplicates and NaN."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.manifest.diagnostics import Diagnostics
from batch_runner.manifest.sources.data_file import Rows

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
    """Return the row as strict JSON, None when it is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def never(word: str) -> float:
        raise ValueError(word)

    def finite(text: str) -> float:
        number = float(text)
        return number if math.isfinite(number) else never(text)

    try:
        row = json.loads(line, object_pairs_hook=once, parse_constant=never, parse_float=finite)
        json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    empty = all(value is None or str(value).strip() == "" for value in row.values())
    return None if empty else dict(row)


@often
@given(json_lines)
def test_json_line_is_read_strictly(line: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(line.encode())

        rows = [entry.variables for entry in Rows(path, "rows.jsonl").entries(Diagnostics())]

    wanted = strictly(line)
    assert json.dumps(rows) == json.dumps([] if wanted is None else [wanted])
