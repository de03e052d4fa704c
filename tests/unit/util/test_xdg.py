from __future__ import annotations

import pytest

from batch_runner.util.xdg import config_folder, state_folder


@pytest.mark.parametrize(
    ("environment", "config", "state"),
    [
        ({}, None, None),
        ({"HOME": ""}, None, None),
        ({"HOME": "/h"}, "/h/.config/batch-runner", "/h/.local/state/batch-runner"),
        (
            {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"},
            "/c/batch-runner",
            "/s/batch-runner",
        ),
        ({"XDG_CONFIG_HOME": "relative", "XDG_STATE_HOME": "relative"}, None, None),
    ],
)
def test_folders_follow_the_xdg_specification(
    environment: dict[str, str], config: str | None, state: str | None
) -> None:
    found = config_folder(environment), state_folder(environment)
    assert [None if one is None else str(one) for one in found] == [config, state]
