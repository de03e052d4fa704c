from __future__ import annotations

import pytest

from batch_runner.engine.result_files import files_of


@pytest.mark.parametrize(
    ("count", "names"), [(1, ["card"]), (3, ["card-1", "card-2", "card-3"]), (0, [])]
)
def test_files_of_one_item_are_numbered(count: int, names: list[str]) -> None:
    assert [one.name for one in files_of("card", count)] == names
