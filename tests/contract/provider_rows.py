"""The providers that pass the same tests, each with whom the simulator acts as for it.

To add one, add a row to ROWS. A description that is not built in is a file of its name here.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from batch_runner.models import ItemSpec
from batch_runner.providers.base import RequestIds
from batch_runner.settings import Service
from batch_runner.simulator import Simulator, SimulatorSettings
from tests.harness import KEY, some_items

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Row:
    """A provider, whom the simulator acts as, and what differs between services."""

    provider: str
    personality: str
    workflow: str
    params: Callable[[str], dict[str, Any]]
    variants: tuple[str, ...] = ()
    service: dict[str, Any] = field(default_factory=dict)  # more fields of `Service`
    moderates_tasks: bool = False  # a task fails, instead of the submission being rejected
    has_balance: bool = True
    urls_expire: bool = True
    says_words: bool = True  # states are words in the response, of which one may be unknown
    is_sure_of_losses: bool = False  # a lost task has a state, which is for certain
    free: bool = False  # so a lost task is submitted again
    request_ids: RequestIds = RequestIds.NONE
    cancels: bool = False
    uploads: bool = True


def by_node(prompt: str) -> dict[str, Any]:
    return {"6": {"text": prompt}}


def by_input(prompt: str) -> dict[str, Any]:
    return {"task_type": "t2i", "input": {"prompt": prompt}}


def flat(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt}


BFL = Row(
    provider="bfl",
    personality="bfl",
    workflow="flux-2-pro",
    params=flat,
    moderates_tasks=True,
    uploads=False,
)
#: A workflow file of ComfyUI.
GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            **{"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0]},
            **{"latent_image": ["5", 0], "seed": 1, "steps": 20, "cfg": 8.0, "denoise": 1.0},
            **{"sampler_name": "euler", "scheduler": "normal"},
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "model.safetensors"}},
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 512, "height": 512, "batch_size": 1},
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a card", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "card"}},
}
COMFYUI = Row(
    provider="comfyui",
    personality="comfyui",
    workflow="cards_api.json",
    params=by_node,
    service={"workflows": {"cards_api.json": GRAPH}},
    has_balance=False,
    urls_expire=False,
    is_sure_of_losses=True,
    free=True,
    request_ids=RequestIds.TASK_ID,
    cancels=True,
)
ROWS = [
    Row(provider="baicai", personality="baicai", workflow="cards", params=by_node),
    Row(provider="baicai-images", personality="baicai", workflow="model", params=by_input),
    Row(provider="baicai-videos", personality="baicai", workflow="model", params=by_input),
    Row(
        provider="runninghub",
        personality="runninghub",
        workflow="19041",
        params=by_node,
        cancels=True,
    ),
    BFL,
    replace(BFL, variants=("other_host",)),
    COMFYUI,
    replace(COMFYUI, variants=("no_cancel",)),
    replace(COMFYUI, variants=("no_jobs",), says_words=False),
    Row(
        provider="idempotent",
        personality="idempotent",
        workflow="cards",
        params=flat,
        request_ids=RequestIds.IDEMPOTENCY_KEY,
        cancels=True,
    ),
]


def name_of(row: Row) -> str:
    return "-".join((row.provider, *row.variants))


def rows(condition: Callable[[Row], bool]) -> pytest.MarkDecorator:
    """Run a test only for the rows that have a feature."""
    chosen = [row for row in ROWS if condition(row)]
    return pytest.mark.parametrize("row", chosen, ids=name_of, indirect=True)


@pytest.fixture(params=ROWS, ids=name_of)
def row(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Return each row in turn; its description is the user's own if there is one here."""
    found: Row = request.param
    own = HERE / f"{found.provider}.yaml"
    folder = tmp_path / "config" / "batch-runner" / "providers"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if own.exists():
        shutil.copy(own, folder)
    return found


@asynccontextmanager
async def simulated(row: Row, *faults: str, **options: Any) -> AsyncIterator[Simulator]:
    """Run the service of a row, whose tasks take ten seconds."""
    settings = {"service_time": "10s", "image_bytes": 3000, "variants": row.variants, **options}
    chosen = SimulatorSettings(personality=row.personality, faults=faults, **settings)
    async with Simulator(chosen) as simulator:
        yield simulator


def service_of(row: Row, simulator: Simulator, key: str = KEY) -> Service:
    return Service(
        provider=row.provider, base_url=simulator.base_url, key=SecretStr(key), **row.service
    )


def items_of(row: Row, count: int) -> list[ItemSpec]:
    """Return `count` items with different prompts."""
    return [
        replace(item, workflow=row.workflow, params=row.params(item.prompt or ""))
        for item in some_items(count)
    ]
