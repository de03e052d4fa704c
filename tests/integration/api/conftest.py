from __future__ import annotations

from pathlib import Path

import pytest

import batch_runner


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # real time: the library starts the journal itself


@pytest.fixture(autouse=True)
def _virtual_time() -> None:
    """Replace the fixture of the other integration tests."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("BAICAI_API_KEY", raising=False)


@pytest.fixture
def manifest(tmp_path: Path) -> batch_runner.Manifest:
    """Return a manifest of eight items."""
    path = tmp_path / "cards.yaml"
    prompts = "".join(f"  - {{id: card-{n}, prompt: horse {n}}}\n" for n in range(8))
    path.write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nlimits: {rate: 20/s}\n'
        f"prompts:\n{prompts}"
    )
    return batch_runner.load_manifest(path)
