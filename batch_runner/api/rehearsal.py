"""Rehearsals: the simulator takes the place of the service, and acts as it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from batch_runner.errors import UsageError
from batch_runner.providers import PROVIDERS
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service, Settings

#: Up to this many items a rehearsal draws a card for each; above, all get one plain picture of
#: PLAIN_BYTES bytes, which needs no drawing.
DRAWN_ITEMS = 1000
PLAIN_BYTES = 20_000


def check_rehearsal(manifest: Manifest) -> None:
    """Refuse to rehearse with a provider that the simulator cannot act as.

    Raises:
        UsageError: the provider is such a one.
    """
    from batch_runner.simulator import PERSONALITIES

    if PROVIDERS[manifest.provider].simulated_as not in PERSONALITIES:
        raise UsageError(
            tr(
                "{provider} cannot be rehearsed, because the simulator does not know that "
                "service; a description can name one like it: simulated_as: {names}",
                provider=manifest.provider,
                names=tr(" or ").join(PERSONALITIES),
            )
        )


@asynccontextmanager
async def simulated_service(
    job: OpenJob, manifest: Manifest, settings: Settings
) -> AsyncIterator[Service]:
    """Yield a simulator of the manifest's provider, which runs until the block ends.

    If the user has several servers, there are as many simulators.
    """
    from pydantic import SecretStr

    from batch_runner.settings import Service as ServiceSettings
    from batch_runner.simulator import Simulator, SimulatorSettings

    many = sum(job.journal.counts_now().values()) > DRAWN_ITEMS
    personality = PROVIDERS[manifest.provider].simulated_as or ""
    workflows: Mapping[str, Any] = manifest.workflow_files or {}
    urls = []
    async with AsyncExitStack() as stack:
        for number in range(max(1, len(manifest.base_urls))):
            simulated = SimulatorSettings(
                personality=personality,
                # A server of one's own executes one task after the other.
                service_time="uniform:0.2,0.6" if personality == "comfyui" else "uniform:1,3",
                image_bytes=PLAIN_BYTES if many else None,
                workers=max(16, settings.limits.in_flight),  # not the bottleneck
                state=job.folder.batch / f"simulator{f'-{number + 1}' if number else ''}.jsonl",
                graphs=tuple(workflows.values()),
            )
            urls.append((await stack.enter_async_context(Simulator(simulated))).base_url)
        own_servers: dict[str, Any] = {"base_urls": tuple(urls), "workflows": workflows}
        yield ServiceSettings(
            provider=manifest.provider,
            base_url=urls[0],
            key=SecretStr("sk-rehearsal"),
            **(own_servers if personality == "comfyui" else {}),
        )
