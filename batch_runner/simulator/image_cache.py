"""The pictures of tasks: drawn when somebody looks, kept for a while."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from batch_runner.simulator.pictures import draw_card, draw_noise

if TYPE_CHECKING:
    from batch_runner.simulator.settings import SimulatorSettings
    from batch_runner.simulator.tasks import Task

# A page of cards; beyond that drawing again is cheaper than the memory.
KEPT_PICTURES = 128


class Gallery:
    """Gives the PNG of every output of every task, the same each time."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._seed = settings.seed
        self._size = settings.image_size
        self._noise = None if settings.image_bytes is None else draw_noise(settings.image_bytes)
        self._draw = lru_cache(KEPT_PICTURES)(draw_card)

    def png(self, task: Task, number: int) -> bytes:
        """Return picture `number` (from 1) of `task`."""
        if self._noise is not None:
            return self._noise
        return self._draw(task.prompt, f"{self._seed}:{task.seed}:{number}", self._size)
